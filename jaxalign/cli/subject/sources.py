"""Where data come from: the kinds of sources, how each is read, and the options that go with it."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxalign.cli.checks import require_defaults
from jaxalign.cli.choices import Header, Part
from jaxalign.cli.subject.options import DataOptions
from jaxalign.data import (
    Labelled,
    image_folder,
    read_csv,
    read_dataset,
    read_image_tar,
    read_npz,
)
from jaxalign.data._dataset_files import dataset_parts, has_part, is_dataset
from jaxalign.data._fashion_mnist import CLASSES, SOURCE, read_embedded
from jaxalign.data._idx_folder import holds_idx_files, read_idx_folder
from jaxalign.data._image_folder import image_parts
from jaxalign.data._image_tar import ENDING as TAR
from jaxalign.data._limit import MAX_BYTES, MAX_IMAGE_BYTES

EMBEDDED = "fashion-mnist"
KINDS = (
    f"{EMBEDDED}, a folder of IDX files, an .npz of inputs and labels, a .csv, "
    "a folder with a subfolder of images for each class, a .tar (or a folder of them) of NNN.jpg "
    "with NNN.cls, .txt or .json, or a data set that Hugging Face's datasets saved, or .parquet"
)

Kind = Literal["embedded", "idx", "arrays", "table", "images", "tar", "dataset"]

# The options that not every kind of data takes.
_OPTIONS: dict[str, tuple[Kind, ...]] = {
    "label": ("table", "arrays", "tar", "dataset"),
    "inputs": ("arrays", "dataset"),
    "header": ("table",),
    "ignore": ("table",),
    "missing": ("table",),
    "categories": ("table",),
    "decimal": ("table",),
    "encoding": ("table",),
    "size": ("images", "tar", "dataset"),
    "unreadable": ("images", "tar", "dataset"),
    "max_bytes": ("arrays", "idx", "images", "tar", "dataset"),
    "scaling": ("embedded", "idx", "arrays", "images", "tar", "dataset"),
}
_HEADER: dict[Header, bool | None] = {"auto": None, "yes": True, "no": False}


def read_source(options: DataOptions, part: Part) -> Labelled:
    """Read the data that the options name.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: what is there is none of ``KINDS``, or damaged; options that change nothing.
    """
    kind = _kind(options)
    others = [name for name, kinds in _OPTIONS.items() if kind not in kinds]
    require_defaults(options, others, f"would change nothing of {options.data}")
    if part != "train" and not has_test_part(options):
        raise ValueError(
            f"{options.data} has no part to {part} on; leave out --part, or name the arrays of an "
            ".npz by --inputs and --label"
        )
    match kind:
        case "embedded":
            images, labels = read_embedded()[part]
            return Labelled(images, labels, f"{SOURCE}, {part}")
        case "idx":
            return _idx(options, part)
        case "arrays":
            return _arrays(options)
        case "table":
            return _table(options)
        case "images":
            return _images(options, part)
        case "tar":
            limit = options.max_bytes or MAX_IMAGE_BYTES
            return read_image_tar(options.data, label=options.label, max_bytes=limit)
        case "dataset":
            return _dataset(options, part)


def has_test_part(options: DataOptions) -> bool:
    """Whether the data come with a part to test on."""
    match _kind(options):
        case "embedded" | "idx":
            return True
        case "images":
            return bool({"test", "validation"} & set(image_parts(Path(options.data))))
        case "dataset":
            return has_part(Path(options.data), "test")
        case _:
            return False


def class_name(value: Any, options: DataOptions) -> str:
    """The name of a class, for people."""
    return CLASSES[value] if options.data == EMBEDDED else str(value)


def _kind(options: DataOptions) -> Kind:
    if options.data == EMBEDDED:
        return "embedded"
    path = Path(options.data)
    if not path.exists():
        raise FileNotFoundError(f"there is no data at {options.data}; it can be {KINDS}")
    if is_dataset(path):
        return "dataset"
    if path.is_dir():
        if holds_idx_files(path):
            return "idx"
        if any(child.is_dir() for child in path.iterdir()):
            return "images"
        if any(child.suffix.lower() == TAR for child in path.iterdir()):
            return "tar"
    elif path.suffix.lower() in (".csv", ".tsv"):
        return "table"
    elif path.suffix.lower() == ".npz":
        return "arrays"
    elif path.suffix.lower() == TAR:
        return "tar"
    raise ValueError(f"{options.data} is not a data set that can be read; it can be {KINDS}")


def _idx(options: DataOptions, part: Part) -> Labelled:
    path = Path(options.data)
    inputs, labels = read_idx_folder(path, part, max_bytes=options.max_bytes or MAX_BYTES)
    return Labelled(inputs, labels, f"{path.resolve().name}, {part}")


def _arrays(options: DataOptions) -> Labelled:
    return read_npz(
        options.data,
        inputs=options.inputs,
        labels=options.label,
        max_bytes=options.max_bytes or MAX_BYTES,
    )


def _table(options: DataOptions) -> Labelled:
    return read_csv(
        options.data,
        label=options.label,
        header=_HEADER[options.header],
        ignore=options.ignore,
        missing=options.missing,
        categories=options.categories,
        decimal=None if options.decimal == "auto" else options.decimal,
        encoding=options.encoding,
    )


def _dataset(options: DataOptions, part: Part) -> Labelled:
    path = Path(options.data)
    return read_dataset(
        path,
        part=part if list(dataset_parts(path)) != [""] else None,
        inputs=options.inputs,
        label=options.label,
        max_bytes=options.max_bytes,
    )


def _images(options: DataOptions, part: Part) -> Labelled:
    path = Path(options.data)
    folder = image_folder(
        path,
        part=part if image_parts(path) else None,
        max_bytes=options.max_bytes or MAX_IMAGE_BYTES,
    )
    # Named classes: as integers, many would be taken for numbers to regress on.
    return Labelled(folder, np.array(folder.class_names)[folder.labels], folder.source)
