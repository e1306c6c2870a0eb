"""Two-class tasks for networks that were trained on something else: images of bytes, or texts."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxalign._features import encode_targets
from jaxalign.data import Dataset, fashion_mnist
from jaxalign.data._images import crop_and_resize
from jaxalign.studies.framework.extra import require

Kind = Literal["natural images", "far images", "texts"]
NATURAL: Kind = "natural images"
FAR: Kind = "far images"
"""Drawings of clothes and digits without colour: far from what the networks were trained on."""
TEXT: Kind = "texts"

Images = Sequence[np.ndarray] | np.ndarray
"""n images (h, w, 3) of bytes, of any sizes."""

SIDE = 32
"""Of the images whose pixels are a reference."""


class Task(NamedTuple):
    """What is to be told apart.

    Attributes:
      name: for tables.
      kind: of the samples.
      samples: n images (h, w, 3) uint8, or n texts.
      targets: ±1, as many of each.
      references: name → (n, d), representations that need no network.
    """

    name: str
    kind: Kind
    samples: Any
    targets: Float[np.ndarray, "n 1"]
    references: dict[str, np.ndarray]


def fashion_task(a: int, b: int, n: int) -> Task:
    """Two classes of the embedded Fashion-MNIST, at most n images, classes balanced."""
    chosen = first(fashion_mnist(classes=(a, b)).train, n)
    return _of_grey(" or ".join(chosen.class_names), as_bytes(chosen.inputs), chosen.labels)


def digits_task(n: int) -> Task:
    """scikit-learn's 8×8 digits, even or odd, at most n images, classes balanced."""
    digits = require("sklearn.datasets").load_digits()
    # Pixels are 0...16.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    parity = (digits.target % 2).astype(np.int32)
    chosen = first(Dataset(images, parity, ("even", "odd"), "digits"), n)
    return _of_grey("even or odd digit", chosen.inputs, chosen.labels)


def summary_task(a: str, b: str, n: int) -> Task:
    """The first paragraphs of the documentation of two parts of scipy, at most n: which part?

    They are the labelled text that every installation has. It differs a little from version to
    version.
    """
    parts = [summaries(part) for part in (a, b)]
    texts = np.array([text for part in parts for text in part])
    labels = np.repeat(np.arange(2, dtype=np.int32), [len(part) for part in parts])
    chosen = first(Dataset(texts, labels, (a, b), "scipy"), n)
    return _of_texts(f"scipy.{a} or .{b}", chosen.inputs.tolist(), chosen.labels)


def summaries(part: str) -> list[str]:
    """The first paragraphs of the documentation of all public callables of scipy.<part>.

    They are in the order of names, each text once.
    """
    module = importlib.import_module(f"scipy.{part}")
    public = [getattr(module, name) for name in sorted(module.__all__)]
    texts = [inspect.getdoc(value) or "" for value in public if callable(value)]
    return list(dict.fromkeys(text.split("\n\n")[0] for text in texts))


def first(data: Dataset, n: int) -> Dataset:
    """The first n rows at most, as many of each of two classes."""
    return data.first(2 * min(n // 2, int(np.bincount(data.labels).min())))


def as_bytes(pixels: np.ndarray) -> UInt8[np.ndarray, "..."]:
    """Pixels of [−1, 1] as bytes again, which is what published networks preprocess."""
    return np.round((pixels * 0.5 + 0.5) * 255).astype(np.uint8)


def of_images(
    name: str,
    kind: Kind,
    images: Images,
    labels: np.ndarray,
    hog_side: int = SIDE,
) -> Task:
    """A task of images with labels 0 and 1.

    References are the pixels in the two usual scalings, which the mean of all rows sets apart, and
    histograms of oriented gradients.
    """
    pixels = np.stack([crop_and_resize(image, SIDE) for image in images]) / np.float32(255)
    flat = pixels.reshape(len(images), -1)
    references = {
        "pixels in [−1, 1]": 2 * flat - 1,
        "pixels in [0, 1]": flat,
        "HOG": hog(images, hog_side),
    }
    return Task(name, kind, images, _targets(labels), references)


def hog(images: Images, side: int) -> Float[np.ndarray, "n d"]:
    """Histograms of oriented gradients of images, without their colour.

    9 directions, cells of 8 pixels, blocks of 2 × 2 cells; the middle square is first scaled to
    side × side pixels.

    Source: Dalal, Triggs (CVPR 2005), by scikit-image.
    """
    histograms = require("skimage.feature").hog
    settings = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
    grey = [
        np.asarray(Image.fromarray(crop_and_resize(image, side)).convert("L")) for image in images
    ]
    return np.stack([histograms(image, **settings) for image in grey]).astype(np.float32)


def _of_grey(name: str, images: np.ndarray, labels: np.ndarray) -> Task:
    return of_images(name, FAR, np.repeat(images[..., None], 3, axis=-1), labels)


def _of_texts(name: str, texts: Sequence[str], labels: np.ndarray) -> Task:
    text = require("sklearn.feature_extraction.text")
    counts = text.CountVectorizer().fit_transform(texts).toarray()
    weighted = text.TfidfVectorizer().fit_transform(texts).toarray()
    references = {"words": counts.astype(np.float32), "TF-IDF": weighted.astype(np.float32)}
    return Task(name, TEXT, texts, _targets(labels), references)


def _targets(labels: np.ndarray) -> Float[np.ndarray, "n 1"]:
    return np.asarray(encode_targets(labels, classes=(0, 1)))
