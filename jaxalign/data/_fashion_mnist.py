"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT licence).

5000 + 1000 images come with the package; all 60 000 + 10 000 are read from a folder.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._classes import chosen_classes, scaled_classes
from jaxalign.data._dataset import Dataset, Split
from jaxalign.data._idx_folder import Part, read_idx_folder

CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
EMBEDDED = Path(__file__).with_name("fashion_mnist.npz")
EMBEDDED_SHA256 = "1064eff4cef408fe773c6040772d7cb7c114c2d2b60accb705d268cbecb8d44e"

SOURCE = "Fashion-MNIST, embedded subset"
PARTS: tuple[Part, ...] = get_args(Part)


def fashion_mnist(path: str | Path | None = None, classes: Sequence[int] | None = None) -> Split:
    """Fashion-MNIST, pixels scaled to [−1, 1] as (x/255 − 0.5)/0.5.

    Args:
      path: a folder with the four original IDX files, gzipped or not; by default the 5000 + 1000
        images of the package, whose sha256 is checked. All ten classes are balanced in both.
      classes: which of the classes 0...9 to keep; by default all.

    Returns:
      Split of two Datasets, inputs (n, 28, 28) float32, labels (n,) the positions in ``classes``.

    Raises:
      FileNotFoundError: a file is missing; the message lists the four there should be.
      ValueError: a truncated, foreign or changed file; classes that are not two or more different
        ones of 0...9.

    Example:
      >>> from jaxalign.data import fashion_mnist
      >>> split = fashion_mnist(classes=(2, 4))
      >>> split.train.inputs.shape, split.test.inputs.shape, split.train.class_names
      ((1000, 28, 28), (200, 28, 28), ('Pullover', 'Coat'))

    Source: Xiao, Rasul, Vollgraf (arXiv 1708.07747); the scaling is that of the authors' demo
      notebook.
    """
    chosen = chosen_classes(classes, len(CLASSES))
    names = tuple(CLASSES[c] for c in chosen)
    if path is None:
        source = SOURCE
        parts = read_embedded()
    else:
        source = "Fashion-MNIST"
        parts = {part: _read_folder(path, part) for part in PARTS}
    return Split(
        *(
            Dataset(*scaled_classes(*parts[part], chosen), names, f"{source}, {part}")
            for part in PARTS
        )
    )


def _read_folder(
    folder: str | Path, part: Part
) -> tuple[UInt8[np.ndarray, "n 28 28"], UInt8[np.ndarray, " n"]]:
    images, labels = read_idx_folder(folder, part)
    if images.shape[1:] != (28, 28):
        raise ValueError(
            f"the {part} images in {folder} must have shape (n, 28, 28), found {images.shape}"
        )
    if labels.max() >= len(CLASSES):
        raise ValueError(
            f"the {part} labels in {folder} must be numbers 0...9, found {labels.max()}"
        )
    return images, labels


def read_embedded() -> dict[Part, tuple[np.ndarray, np.ndarray]]:
    """The bytes of the images that come with the package, and their labels."""
    # From one reading: what was hashed is what is loaded.
    raw = EMBEDDED.read_bytes()
    sha256 = hashlib.sha256(raw).hexdigest()
    if sha256 != EMBEDDED_SHA256:
        raise ValueError(
            f"{EMBEDDED} has changed: sha256 {sha256}, not {EMBEDDED_SHA256}; "
            "install jaxalign again"
        )
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return {part: (arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in PARTS}
