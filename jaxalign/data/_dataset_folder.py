"""Data sets as Hugging Face's library saves them: arrow files of ``save_to_disk``, or parquet."""

from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._dataset_columns import (
    class_names,
    features_of,
    input_columns,
    is_image,
    label_column,
    labels,
    numbers,
)
from jaxalign.data._dataset_files import Part, files_of, is_dataset
from jaxalign.data._image_files import pixels_of
from jaxalign.data._labelled import Labelled, labelled, require_known_texts
from jaxalign.data._limit import MAX_BYTES, MAX_IMAGE_BYTES, require_within
from jaxalign.data._stored_images import StoredImages


@dataclass(frozen=True)
class ColumnImages(StoredImages):
    """Images in a column of an arrow table; an image is decoded when it is indexed.

    Attributes:
      column: their bytes and paths.
      name: of the column, for messages.
      has_classes: whether labels are classes with names.
      max_bytes: the most that the pixels of one may take.
    """

    column: Any
    name: str
    has_classes: bool
    max_bytes: int = MAX_IMAGE_BYTES

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "h w 3"]:
        name = f"{self.name}, row {row}"
        entry = self.column[int(row)].as_py()
        if entry is None or entry["bytes"] is None:
            raise ValueError(f"{name} holds no bytes of an image; save the data set with its files")
        require_within(len(entry["bytes"]), self.max_bytes, name)
        return pixels_of(BytesIO(entry["bytes"]), name, self.max_bytes)


def read_dataset(
    path: str | Path,
    *,
    part: Part | None = None,
    inputs: str | None = None,
    label: str | None = None,
    max_bytes: int | None = None,
) -> Labelled:
    """Inputs and labels of a data set that Hugging Face's ``datasets`` saved.

    Args:
      path: what ``save_to_disk`` wrote of a data set or of several parts; a .parquet file; or a
        folder of such, perhaps in a folder data. datasets itself is not needed, pyarrow is.
      part: of several parts: train, or test, for which validation will do.
      inputs: a column of images, or of numbers or lists of them of one length; by default the only
        one of images, the only one beside the labels, or all of them if all are numbers.
      label: a column; by default the only one of classes, else one that is called label, labels or
        y. Classes have their names.
      max_bytes: the most that the inputs may take in memory, or the pixels of an image.

    Returns:
      Labelled, whose inputs are an array (n, ...), or a sequence of images (h, w, 3) uint8.

    Raises:
      ModuleNotFoundError: pyarrow is not installed.
      FileNotFoundError: nothing is there, or a file is missing.
      ValueError: no such data set, or a damaged one; a part or a column that is not there or not
        named; missing values; text as inputs.

    Example:
      >>> from jaxalign.data import read_dataset
      >>> images, labels, source = read_dataset("beans", part="train")  # doctest: +SKIP

    Source: the layout of datasets 2 to 5.
    """
    if find_spec("pyarrow") is None:
        raise ModuleNotFoundError("read_dataset needs pyarrow; pip install pyarrow")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no data set at {path}")
    if not is_dataset(path):
        raise ValueError(f"{path} is not a data set that save_to_disk wrote, and no parquet")
    table = _table(files_of(path, part))
    schema = table.schema
    source = path.resolve().name if part is None else f"{path.resolve().name}, {part}"
    if not table.num_rows:
        raise ValueError(f"{source} has no rows")
    label = label_column(schema, label, source)
    columns = input_columns(schema, inputs, label, source)
    names = class_names(features_of(schema), label)
    answers = labels(table[label], label, names)
    if is_image(schema.field(columns[0])):
        if answers.dtype.kind == "U":
            require_known_texts(answers, source)
        images = ColumnImages(
            table[columns[0]],
            f"{source}: column {columns[0]}",
            names is not None,
            max_bytes or MAX_IMAGE_BYTES,
        )
        return Labelled(images, answers, source)
    require_within(table.select(columns).nbytes, max_bytes or MAX_BYTES, source)
    arrays = [numbers(table[name], name) for name in columns]
    if arrays[0].ndim == 1:
        return labelled(np.stack(arrays, axis=1), answers, source)
    return labelled(arrays[0], answers, source)


def _table(files: list[Path]) -> Any:
    """The rows of all files, which are mapped, not read, where they can be."""
    import pyarrow

    tables = [_checked(file) for file in files]
    for file, table in zip(files, tables, strict=True):
        if table.schema != tables[0].schema:
            raise ValueError(f"{file} has other columns than {files[0].name}: {table.schema.names}")
    return pyarrow.concat_tables(tables)


def _checked(file: Path) -> Any:
    import pyarrow.ipc
    import pyarrow.parquet

    try:
        if file.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(file)
        else:
            table = pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all()
        table.validate(full=True)
    # Anything: pyarrow has a dozen errors for damaged files.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ValueError(f"{file} cannot be read: {reason:.200}") from error
    return table
