"""Folders of image files: a subfolder per class, perhaps in a folder for each part."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._image_files import image_endings, read_image
from jaxalign.data._limit import MAX_IMAGE_BYTES
from jaxalign.data._stored_images import StoredImages

Part = Literal["train", "test"]

_PART_NAMES = {
    "train": re.compile(r"(.*[^a-z])?train(ing)?([-_ ]?(set|data))?([^a-z].*)?"),
    "test": re.compile(r"(.*[^a-z])?test(ing)?([-_ ]?(set|data))?([^a-z].*)?"),
    "validation": re.compile(r"(.*[^a-z])?(val|valid|validation|dev|eval)([-_ ]?set)?([^a-z].*)?"),
}
# Folders that tools leave behind, beside those whose names begin with a dot.
_LEFT_BEHIND = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "lost+found",
    "system volume information",
}


@dataclass(frozen=True)
class ImageFolder(StoredImages):
    """Images on disk, one subfolder per class; an image is read when it is indexed.

    Attributes:
      paths: the n files, by class and name.
      labels: (n,) int32, positions in ``class_names``.
      class_names: the subfolders, in alphabetical order.
      source: where the images are, for people.
      max_bytes: the most that the pixels of one may take.
    """

    paths: tuple[Path, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    source: str
    max_bytes: int = MAX_IMAGE_BYTES
    has_classes = True

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "h w 3"]:
        return read_image(self.paths[row], max_bytes=self.max_bytes)

    def batches(self, size: int) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        """(images, labels) of ``size`` rows at a time, in order; the last batch may be smaller."""
        if size < 1:
            raise ValueError(f"size must be at least 1, found {size}")
        for start in range(0, len(self), size):
            rows = range(start, min(start + size, len(self)))
            yield [self[row] for row in rows], self.labels[start : start + size]


def image_folder(
    path: str | Path, *, part: Part | None = None, max_bytes: int = MAX_IMAGE_BYTES
) -> ImageFolder:
    """The images under ``path``, whose subfolders are the classes; no image is read yet.

    Args:
      path: a folder of folders of images. Skipped are hidden files and folders, those that tools
        leave behind (such as ``.ipynb_checkpoints``, ``__MACOSX``), and files without an ending of
        images.
      part: which of the folders above the classes, where there are such: train, or test, for which
        validation will do.
      max_bytes: the most that the pixels of an image may take.

    Returns:
      ImageFolder, a sequence of images (h, w, 3) uint8.

    Raises:
      FileNotFoundError: no such folder.
      ValueError: fewer than two classes, a class without images, or parts of which none is chosen;
        a part where there are none.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from PIL import Image
      >>> from jaxalign.data import image_folder
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name in ("dog/rex.png", "cat/tom.png"):
      ...         (Path(folder) / name).parent.mkdir()
      ...         Image.new("RGB", (8, 6)).save(Path(folder) / name)
      ...     images = image_folder(folder)
      ...     images.class_names, images.labels.tolist(), images[1].shape
      (('cat', 'dog'), [0, 1], (6, 8, 3))

    Source: the layout is that of ImageNet's archives.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is not a folder; path must hold one subfolder of images per class"
        )
    parts = image_parts(path)
    if parts:
        root = _chosen(parts, part, path)
        source = f"{path.resolve().name}, {root.name}"
    else:
        if part is not None:
            raise ValueError(f"{path} has no folders train and test; leave part={part!r} out")
        root = path
        source = path.resolve().name
    folders = _subfolders(root)
    if len(folders) < 2:
        names = ", ".join(folder.name for folder in folders) or "none"
        raise ValueError(f"{root} must hold at least two subfolders, one per class, found {names}")
    files = [_images(folder) for folder in folders]
    for folder, images in zip(folders, files, strict=True):
        if not images:
            raise ValueError(
                f"the class {folder} has no image; "
                "put files such as .jpg or .png there, or remove it"
            )
    labels = np.repeat(np.arange(len(folders), dtype=np.int32), [len(images) for images in files])
    return ImageFolder(
        tuple(file for images in files for file in images),
        labels,
        tuple(folder.name for folder in folders),
        source,
        max_bytes,
    )


def image_parts(path: Path) -> dict[str, list[Path]]:
    """The folders above the classes by part; empty where subfolders are the classes themselves.

    Names tell: all are those of parts, or two are and hold folders and no images of their own.
    """
    folders = _subfolders(path)
    part_of = {
        folder: part
        for folder in folders
        for part, name in _PART_NAMES.items()
        if name.fullmatch(folder.name.lower())
    }
    above = [folder for folder in part_of if _is_above_classes(folder)]
    # One among classes of other names may be a class, such as trains.
    if len(part_of) < min(2, len(folders)) or not (above or len(part_of) == len(folders)):
        return {}
    parts: dict[str, list[Path]] = {}
    for folder in above or part_of:
        parts.setdefault(part_of[folder], []).append(folder)
    return parts


def _chosen(parts: dict[str, list[Path]], part: Part | None, path: Path) -> Path:
    names = ", ".join(folder.name for members in parts.values() for folder in members)
    if part is None:
        raise ValueError(
            f"{path} holds {names} above the classes; pass part='train' or part='test'"
        )
    members = parts.get(part, [])
    if part == "test" and not members:
        members = parts.get("validation", [])
    if len(members) != 1:
        raise ValueError(
            f"{path} must hold one folder to {part} on, found {len(members)} among {names}; "
            "pass the path of one of them"
        )
    return members[0]


def _is_above_classes(folder: Path) -> bool:
    images = any(_is_image(entry) for entry in folder.iterdir())
    return bool(_subfolders(folder)) and not images


def _subfolders(path: Path) -> list[Path]:
    entries = sorted(entry for entry in path.iterdir() if not _is_skipped(entry))
    for entry in entries:
        if _leads_nowhere(entry):
            raise ValueError(f"{entry} is a link to what is not there; repair it, or remove it")
    return [entry for entry in entries if entry.is_dir()]


def _images(folder: Path) -> list[Path]:
    """The images in a folder and in the folders in it."""
    files: list[Path] = []
    for entry in sorted(folder.rglob("*")):
        inside = entry.relative_to(folder).parents
        if _is_image(entry) and not any(map(_is_skipped, inside)):
            files.append(entry)
    return files


def _is_image(file: Path) -> bool:
    """A link that leads nowhere is one that cannot be read."""
    is_named_so = file.suffix.lower() in image_endings() and not _is_skipped(file)
    return is_named_so and (file.is_file() or _leads_nowhere(file))


def _leads_nowhere(entry: Path) -> bool:
    return entry.is_symlink() and not entry.exists()


def _is_skipped(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name.lower() in _LEFT_BEHIND
