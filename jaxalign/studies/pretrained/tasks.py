"""Two-class tasks for networks that were trained on something else: images of bytes, or texts."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxalign._features import encode_targets
from jaxalign.data import Dataset, fashion_mnist
from jaxalign.studies.framework.extra import require

HOG_SIDE = 32
GROUPS = 10
"""Samples can be cut into so many groups, with as many of each class in each."""


class Task(NamedTuple):
    """What is to be told apart.

    Attributes:
      name: for tables.
      samples: n images (s, s) uint8, or n texts.
      targets: ±1, as many of each; n is a multiple of 2·GROUPS.
      references: name → (n, ...), representations that need no network: the samples as they are,
        then handcrafted features.
    """

    name: str
    samples: Any
    targets: Float[np.ndarray, "n 1"]
    references: dict[str, np.ndarray]


def fashion_task(a: int, b: int, n: int) -> Task:
    """Two classes of the embedded Fashion-MNIST, at most n images, classes balanced."""
    chosen = _first(fashion_mnist(classes=(a, b)).train, n)
    # Bytes again, which is what published networks preprocess.
    images = np.round((chosen.inputs * 0.5 + 0.5) * 255).astype(np.uint8)
    return _of_images(" or ".join(chosen.class_names), images, chosen.labels)


def digits_task(n: int) -> Task:
    """scikit-learn's 8×8 digits, even or odd, at most n images, classes balanced."""
    digits = require("sklearn.datasets").load_digits()
    # Pixels are 0...16.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    parity = (digits.target % 2).astype(np.int32)
    chosen = _first(Dataset(images, parity, ("even", "odd"), "digits"), n)
    return _of_images("even or odd digit", chosen.inputs, chosen.labels)


def summary_task(a: str, b: str, n: int) -> Task:
    """The first paragraphs of the documentation of two parts of scipy, at most n: which part?

    They are the labelled text that every installation has. It differs a little from version to
    version.
    """
    parts = [summaries(part) for part in (a, b)]
    texts = np.array([text for part in parts for text in part])
    labels = np.repeat(np.arange(2, dtype=np.int32), [len(part) for part in parts])
    chosen = _first(Dataset(texts, labels, (a, b), "scipy"), n)
    return _of_texts(f"scipy.{a} or .{b}", chosen.inputs.tolist(), chosen.labels)


def summaries(part: str) -> list[str]:
    """The first paragraphs of the documentation of all public callables of scipy.<part>.

    They are in the order of names, each text once.
    """
    module = importlib.import_module(f"scipy.{part}")
    public = [getattr(module, name) for name in sorted(module.__all__)]
    texts = [inspect.getdoc(value) or "" for value in public if callable(value)]
    return list(dict.fromkeys(text.split("\n\n")[0] for text in texts))


def hog(images: np.ndarray) -> Float[np.ndarray, "n 324"]:
    """Histograms of oriented gradients of (n, s, s) bytes.

    9 directions, cells of 8 pixels, blocks of 2 × 2 cells; images are first scaled to 32 × 32.

    Source: Dalal, Triggs (CVPR 2005), by scikit-image.
    """
    histograms = require("skimage.feature").hog
    settings = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
    size = (HOG_SIDE, HOG_SIDE)
    scaled = [
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        for image in images
    ]
    return np.stack([histograms(image, **settings) for image in scaled]).astype(np.float32)


def _first(data: Dataset, n: int) -> Dataset:
    """The first n rows at most, classes balanced, in multiples of 2·GROUPS."""
    rows = min(n, 2 * int(np.bincount(data.labels).min()))
    return data.first(rows - rows % (2 * GROUPS))


def _of_images(name: str, images: np.ndarray, labels: np.ndarray) -> Task:
    pixels = (images.astype(np.float32) / 255 - 0.5) / 0.5
    return Task(name, images, _targets(labels), {"pixels": pixels, "HOG": hog(images)})


def _of_texts(name: str, texts: Sequence[str], labels: np.ndarray) -> Task:
    text = require("sklearn.feature_extraction.text")
    counts = text.CountVectorizer().fit_transform(texts).toarray()
    weighted = text.TfidfVectorizer().fit_transform(texts).toarray()
    references = {"words": counts.astype(np.float32), "TF-IDF": weighted.astype(np.float32)}
    return Task(name, texts, _targets(labels), references)


def _targets(labels: np.ndarray) -> Float[np.ndarray, "n 1"]:
    return np.asarray(encode_targets(labels, classes=(0, 1)))
