"""CIFAR-10 (Krizhevsky 2009) from its binary version: per image a label and 3072 bytes of pixels.

Unlike the Python version, which is pickled, these files cannot run code.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._classes import chosen_classes, scaled_classes
from jaxalign.data._dataset import Dataset, Split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGES = 10_000
"""The number of images in each file."""

_FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_CHANNELS, _SIDE = 3, 32
_RECORD = 1 + _CHANNELS * _SIDE * _SIDE


def cifar10(path: str | Path, classes: Sequence[int] | None = None) -> Split:
    """CIFAR-10, pixels scaled to [−1, 1] as (x/255 − 0.5)/0.5, from the six files of its binary
    version.

    Args:
      path: the folder cifar-10-batches-bin, unpacked from cifar-10-binary.tar.gz, or its parent.
        The Python version holds pickles, which are programs, and is not read.
      classes: which of the classes 0...9 to keep; by default all.

    Returns:
      Split of two Datasets, inputs (n, 32, 32, 3) float32, labels (n,) the positions in
      ``classes``; without ``classes`` 50 000 + 10 000 images. Order is that of the files.

    Raises:
      FileNotFoundError: a file is missing; the message says which there should be.
      ValueError: a truncated or foreign file; classes that are not two or more different ones of
        0...9.

    Example:
      >>> import tempfile
      >>> from jaxalign.data import cifar10
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     cifar10(folder)
      Traceback (most recent call last):
      FileNotFoundError: ... has no data_batch_1.bin; unpack cifar-10-binary.tar.gz, ...

    Source: Krizhevsky, Learning multiple layers of features from tiny images (2009); the scaling is
      that of the authors' demo notebook.
    """
    chosen = chosen_classes(classes, len(CLASSES))
    folder = Path(path)
    inner = folder / "cifar-10-batches-bin"
    if inner.is_dir():
        folder = inner
    return Split(
        *(_dataset(folder, names, chosen, f"CIFAR-10, {part}") for part, names in _FILES.items())
    )


def _dataset(folder: Path, names: Sequence[str], chosen: Sequence[int], source: str) -> Dataset:
    # File by file: only the chosen images become floats, four times as large as their bytes.
    parts = [Dataset(*scaled_classes(*_read(folder, name), chosen), (), source) for name in names]
    return Dataset(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(CLASSES[c] for c in chosen),
        source,
    )


def _read(
    folder: Path, name: str
) -> tuple[UInt8[np.ndarray, "n 32 32 3"], UInt8[np.ndarray, " n"]]:
    """The images and labels of one file."""
    file = folder / name
    if not file.is_file():
        raise _missing(folder, name)
    raw = np.fromfile(file, np.uint8)
    if raw.size != IMAGES * _RECORD:
        raise ValueError(
            f"{file} must hold {IMAGES:,} images of {_RECORD} bytes, {IMAGES * _RECORD:,} bytes "
            f"in all, found {raw.size:,}; "
            "it is truncated or no file of CIFAR-10's binary version, unpack it again"
        )
    records = raw.reshape(IMAGES, _RECORD)
    labels = records[:, 0]
    if labels.max() >= len(CLASSES):
        raise ValueError(
            f"{file} must hold labels 0...9, found {labels.max()}; "
            "it is not a file of CIFAR-10's binary version"
        )
    # On disk an image is its red, green and blue planes, one after another.
    return records[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1), labels


def _missing(folder: Path, name: str) -> FileNotFoundError:
    python = ""
    if (folder / name.removesuffix(".bin")).is_file():
        python = " (these are the pickles of the Python version)"
    names = ", ".join(name for names in _FILES.values() for name in names)
    return FileNotFoundError(
        f"{folder} has no {name}{python}; unpack cifar-10-binary.tar.gz, the binary version: "
        f"the folder must hold {names}"
    )
