"""CIFAR-10 (Krizhevsky 2009) by path: its binary version, a label and 3072 bytes of pixels an
image, nothing that could run.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxalign.data._dataset import Dataset, Split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGES = 10_000
"""In each file."""

_FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_CHANNELS, _SIDE = 3, 32
_RECORD = 1 + _CHANNELS * _SIDE * _SIDE


def cifar10(path: str | Path, classes: Sequence[int] | None = None) -> Split:
    """CIFAR-10, pixels scaled to [−1, 1] as (x/255 − 0.5)/0.5, from the six files of its binary
    version.

    Args:
      path: the folder cifar-10-batches-bin, unpacked from cifar-10-binary.tar.gz, or the one it
        lies in. The Python version holds pickles, which are programs, and is not read.
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
      that of the authors'
    demo notebook.
    """
    chosen = tuple(range(len(CLASSES))) if classes is None else tuple(classes)
    if (
        len(chosen) < 2
        or len(set(chosen)) < len(chosen)
        or not set(chosen) <= set(range(len(CLASSES)))
    ):
        raise ValueError(
            f"classes must be two or more different numbers among 0...9, found {chosen}"
        )
    folder = Path(path)
    inner = folder / "cifar-10-batches-bin"
    folder = inner if inner.is_dir() else folder
    return Split(
        *(_dataset(folder, names, chosen, f"CIFAR-10, {part}") for part, names in _FILES.items())
    )


def _dataset(folder: Path, names: Sequence[str], chosen: Sequence[int], source: str) -> Dataset:
    position = np.full(len(CLASSES), -1, np.int32)
    position[list(chosen)] = np.arange(len(chosen))
    inputs, labels = [], []
    for name in names:
        images, numbers = _read(folder, name)
        kept = position[numbers] >= 0
        inputs.append((images[kept].astype(np.float32) / 255 - 0.5) / 0.5)
        labels.append(position[numbers[kept]])
    return Dataset(
        np.concatenate(inputs), np.concatenate(labels), tuple(CLASSES[c] for c in chosen), source
    )


def _read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(images (n, 32, 32, 3), labels (n,)), bytes, of one file."""
    file = folder / name
    if not file.is_file():
        python = (
            " (these are the pickles of the Python version)"
            if (folder / name.removesuffix(".bin")).is_file()
            else ""
        )
        raise FileNotFoundError(
            f"{folder} has no {name}{python}; unpack cifar-10-binary.tar.gz, the binary version: the folder must hold "
            + ", ".join(name for names in _FILES.values() for name in names)
        )
    raw = np.fromfile(file, np.uint8)
    if raw.size != IMAGES * _RECORD:
        raise ValueError(
            f"{file} must hold {IMAGES:,} images of {_RECORD} bytes, {IMAGES * _RECORD:,} bytes in all, found {raw.size:,}; "
            "it is truncated or no file of CIFAR-10's binary version, unpack it again"
        )
    records = raw.reshape(IMAGES, _RECORD)
    labels = records[:, 0]
    if labels.max() >= len(CLASSES):
        raise ValueError(
            f"{file} must hold labels 0...9, found {labels.max()}; it is no file of CIFAR-10's binary version"
        )
    return records[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1), labels
