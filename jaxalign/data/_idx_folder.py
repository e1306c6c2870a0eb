"""Folders of IDX files, under the names that MNIST and its relatives are given."""

import re
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._idx import read_idx
from jaxalign.data._limit import MAX_BYTES

Part = Literal["train", "test"]

# train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz, emnist-letters-test-images-idx3-ubyte.gz.
_NAME = re.compile(
    r"(?P<set>.*?)[-_. ]?(?P<part>train|t10k|test)[-_. ](?P<kind>images|labels)"
    r"[-_. ]idx\d?([-_. ]ubyte)?(\.gz)?",
    re.IGNORECASE,
)
_PARTS = {"train": "train", "t10k": "test", "test": "test"}


def holds_idx_files(folder: Path) -> bool:
    """Whether a folder has files that are named as those of MNIST are."""
    return folder.is_dir() and bool(_files(folder))


def read_idx_folder(
    folder: str | Path, part: Part, *, max_bytes: int = MAX_BYTES
) -> tuple[UInt8[np.ndarray, "n h w"], UInt8[np.ndarray, " n"]]:
    """The images and labels of one part.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: files of several data sets; not images (n, h, w) and as many labels.
    """
    images = read_idx(_find(Path(folder), part, "images"), max_bytes=max_bytes)
    labels = read_idx(_find(Path(folder), part, "labels"), max_bytes=max_bytes)
    if images.ndim != 3 or images.size == 0:
        raise ValueError(
            f"the {part} images in {folder} must have shape (n, h, w), found {images.shape}"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"the {part} labels in {folder} must be {len(images)} numbers, one an image, "
            f"found shape {labels.shape}"
        )
    return images, labels


def _files(folder: Path) -> list[tuple[re.Match[str], Path]]:
    # Some archives unpack each file into a folder of its name.
    paths = [*sorted(folder.glob("*")), *sorted(folder.glob("*ubyte*/*"))]
    matches = [(_NAME.fullmatch(path.name), path) for path in paths if path.is_file()]
    return [(match, path) for match, path in matches if match is not None]


def _find(folder: Path, part: Part, kind: str) -> Path:
    """The file of one part and kind; of the same one under several names, the first."""
    by_set: dict[str, Path] = {}
    for match, path in _files(folder):
        if (_PARTS[match["part"].lower()], match["kind"].lower()) == (part, kind):
            by_set.setdefault(match["set"].lower(), path)
    if len(by_set) > 1:
        names = ", ".join(path.name for path in by_set.values())
        raise ValueError(
            f"{folder} has {kind} to {part} on of several data sets ({names}); "
            "put each into a folder of its own"
        )
    if not by_set:
        raise FileNotFoundError(
            f"{folder} has no {kind} to {part} on; it must hold train-images-idx3-ubyte, "
            "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, gzipped or "
            "not"
        )
    return next(iter(by_set.values()))
