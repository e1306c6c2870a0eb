"""Arrays of inputs and labels in an .npz file, under the names people give them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from jaxalign.data._labelled import Labelled, labelled
from jaxalign.data._limit import MAX_BYTES, require_within

INPUTS = (
    *("x", "inputs", "images", "features", "data", "X"),
    *("x_train", "X_train", "train_images", "train_data"),
)
LABELS = (
    *("y", "labels", "targets", "label", "target", "Y"),
    *("y_train", "Y_train", "train_labels", "train_targets"),
)


def read_npz(
    path: str | Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Labelled:
    """Inputs (n, ...) and labels (n,) or (n, k) of an .npz file.

    Args:
      path: the file. Arrays of objects are refused, since numpy would unpickle them.
      inputs: name of the array of inputs; by default the first that exists among x, inputs, images,
        features, data, X, and x_train, X_train, train_images, train_data.
      labels: likewise, among y, labels, targets, label, target, Y, and y_train, Y_train,
        train_labels, train_targets.
      max_bytes: the most that an array may take.

    Returns:
      Labelled.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an .npz file, truncated, no array of such a name, arrays of objects, complex
        numbers or dates, or of different n; more than ``max_bytes``.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.data import read_npz
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     np.savez(f"{folder}/some.npz", x=np.zeros((3, 2)), y=np.array([0, 1, 1]))
      ...     read_npz(f"{folder}/some.npz").labels.tolist()
      [0, 1, 1]

    Source: ours, on numpy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    try:
        # numpy.load(path) would leave a file open that it cannot read.
        with open(path, "rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise ValueError("it holds a single array")
            sizes = {entry.filename: entry.file_size for entry in ZipFile(stream).infolist()}
            x, y = (
                _array(arrays, _name(arrays.files, *names), sizes, max_bytes)
                for names in ((inputs, INPUTS, "inputs"), (labels, LABELS, "labels"))
            )
        return labelled(x, y, path.name)
    except Exception as error:
        # Anything: zip files, four ways to pack them and numpy's headers each raise their own.
        raise ValueError(
            f"{path} cannot be read as an .npz file of inputs and labels: {error}"
        ) from error


def _array(arrays: NpzFile, name: str, sizes: Mapping[str, int], max_bytes: int) -> np.ndarray:
    size = sizes.get(f"{name}.npy", 0)
    require_within(size, max_bytes, f"its array {name!r}")
    array = arrays[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name!r} is not an array of numpy's")
    return array


def _name(names: Sequence[str], wanted: str | None, usual: Sequence[str], what: str) -> str:
    listed = ", ".join(sorted(names))
    if wanted is not None and wanted not in names:
        raise ValueError(f"there is no array {wanted!r} for the {what}; its arrays are {listed}")
    if wanted is not None:
        return wanted
    for name in usual:
        if name in names:
            return name
    raise ValueError(f"none of its arrays ({listed}) is named as {what} are: {', '.join(usual)}")
