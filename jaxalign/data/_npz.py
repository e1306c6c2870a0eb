"""Arrays of inputs and labels in an .npz file, under the names people give them."""

import zipfile
from pathlib import Path

import numpy as np

from jaxalign.data._labelled import Labelled, require_pairs

INPUTS = ("x", "inputs", "images", "features", "data", "X", "x_train")
LABELS = ("y", "labels", "targets", "label", "target", "Y", "y_train")


def read_npz(path: str | Path, *, inputs: str | None = None, labels: str | None = None) -> Labelled:
    """Inputs (n, ...) and labels (n,) or (n, k) of an .npz file.

    Args:
      path: the file. Arrays of objects are refused, since numpy would unpickle them.
      inputs: name of the array of inputs; by default the first that exists among x, inputs, images,
        features, data, X, x_train.
      labels: likewise, among y, labels, targets, label, target, Y, y_train.

    Returns:
      Labelled.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an .npz file, truncated, no array of such a name, arrays of objects, arrays
        of different n.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.data import read_npz
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     np.savez(f"{folder}/some.npz", x=np.zeros((3, 2)), y=np.array([0, 1, 1]))
      ...     read_npz(f"{folder}/some.npz").labels.tolist()
      [0, 1, 1]
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file")
    try:
        # numpy.load(path) would leave a file open that it cannot read.
        with open(path, "rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            x = arrays[_name(arrays.files, inputs, INPUTS, "inputs")]
            y = arrays[_name(arrays.files, labels, LABELS, "labels")]
    except (ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as an .npz file of inputs and labels: {error}"
        ) from None
    require_pairs(x, y, str(path))
    return Labelled(x, y, Path(path).name)


def _name(names: list[str], wanted: str | None, usual: tuple[str, ...], what: str) -> str:
    listed = ", ".join(sorted(names))
    if wanted is not None and wanted not in names:
        raise ValueError(f"there is no array {wanted!r} for the {what}; its arrays are {listed}")
    if wanted is not None:
        return wanted
    for name in usual:
        if name in names:
            return name
    raise ValueError(f"none of its arrays ({listed}) is named as {what} are: {', '.join(usual)}")
