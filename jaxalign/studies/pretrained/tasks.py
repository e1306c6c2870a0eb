"""Two-class tasks for networks that were trained on something else: images of bytes, or texts, and
±1.
"""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jaxalign._features import encode_targets
from jaxalign.data import Dataset, fashion_mnist
from jaxalign.studies.shared.problems import scikit

HOG_SIDE = 32
GROUPS = 10
"""Into so many groups samples can be cut, as many of each class in each."""


class Task(NamedTuple):
    """What is to be told apart.

    Attributes:
      name: for tables.
      samples: n images (s, s) uint8, or n texts.
      targets: (n, 1) float32, ±1, as many of each; n is a multiple of 2·GROUPS.
      references: name → (n, ...), representations that need no network: the samples as they are,
        then handcrafted features.
    """

    name: str
    samples: Any
    targets: np.ndarray
    references: dict[str, np.ndarray]


def fashion_task(a: int, b: int, n: int) -> Task:
    """Two classes of the embedded Fashion-MNIST, n images or as many as there are, classes
    balanced.
    """
    chosen = _first(fashion_mnist(classes=(a, b)).train, n)
    images = np.round((chosen.inputs * 0.5 + 0.5) * 255).astype(np.uint8)
    return _of_images(f"{chosen.class_names[0]} or {chosen.class_names[1]}", images, chosen.labels)


def digits_task(n: int) -> Task:
    """scikit-learn's 8×8 digits, even or odd, n images or as many as there are, classes balanced."""
    held = scikit("sklearn.datasets").load_digits()
    images = np.round(held.images * (255 / 16)).astype(np.uint8)
    chosen = _first(
        Dataset(images, (held.target % 2).astype(np.int32), ("even", "odd"), "digits"), n
    )
    return _of_images("even or odd digit", chosen.inputs, chosen.labels)


def summary_task(a: str, b: str, n: int) -> Task:
    """The first paragraphs of the documentation of two parts of scipy, n texts at most: which part
    is it of?

    They are the labelled text that every installation has; what they say differs a little from
    version to version.
    """
    texts = [(text, i) for i, part in enumerate((a, b)) for text in summaries(part)]
    held = Dataset(
        np.array([text for text, _ in texts]),
        np.array([i for _, i in texts], np.int32),
        (a, b),
        "scipy",
    )
    chosen = _first(held, n)
    return _of_texts(f"scipy.{a} or .{b}", chosen.inputs.tolist(), chosen.labels)


def summaries(part: str) -> list[str]:
    """The first paragraph of the documentation of everything public and callable in scipy.<part>,
    by name, each once.
    """
    module = importlib.import_module(f"scipy.{part}")
    documented = [
        getattr(module, name) for name in sorted(module.__all__) if callable(getattr(module, name))
    ]
    return list(dict.fromkeys((inspect.getdoc(x) or "").split("\n\n")[0] for x in documented))


def _first(held: Dataset, n: int) -> Dataset:
    """The first n rows, as many of each class, in multiples of 2·GROUPS: what can be cut into equal
    groups of both.
    """
    rows = min(n, 2 * int(np.bincount(held.labels).min()))
    return held.first(rows - rows % (2 * GROUPS))


def _of_images(name: str, images: np.ndarray, labels: np.ndarray) -> Task:
    pixels = (images.astype(np.float32) / 255 - 0.5) / 0.5
    return Task(name, images, _targets(labels), {"pixels": pixels, "HOG": hog(images)})


def _of_texts(name: str, texts: Sequence[str], labels: np.ndarray) -> Task:
    text = scikit("sklearn.feature_extraction.text")
    counts, weighted = (
        of().fit_transform(texts).toarray() for of in (text.CountVectorizer, text.TfidfVectorizer)
    )
    return Task(
        name,
        texts,
        _targets(labels),
        {"words": counts.astype(np.float32), "TF-IDF": weighted.astype(np.float32)},
    )


def hog(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients of (n, s, s) bytes: 9 directions, cells of 8 pixels, blocks
    of 2 × 2 cells, (n, 324).

    Source: Dalal, Triggs (CVPR 2005), by scikit-image; images are first scaled to 32 × 32.
    """
    of_one = scikit("skimage.feature").hog
    scaled = (
        np.asarray(Image.fromarray(x).resize((HOG_SIDE, HOG_SIDE), Image.Resampling.BICUBIC))
        for x in images
    )
    return np.stack(
        [of_one(x, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2)) for x in scaled]
    ).astype(np.float32)


def _targets(labels: np.ndarray) -> np.ndarray:
    return np.asarray(encode_targets(labels, classes=(0, 1)))
