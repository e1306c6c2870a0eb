"""Arrays of inputs and labels in an .npz file, under the names people give them."""

import zipfile
from pathlib import Path

import numpy as np

from jaxalign.data._labelled import Labelled, require_pairs

INPUTS = ("x", "inputs", "images", "features", "data", "X", "x_train")
LABELS = ("y", "labels", "targets", "label", "target", "Y", "y_train")


def read_npz(path: str | Path, *, inputs: str | None = None, labels: str | None = None) -> Labelled:
    """Inputs (n, ...) and labels (n,) or (n, k) of an .npz file; objects, which would be unpickled,
    are refused.

    Args:
      path: the file.
      inputs: name of the array of inputs; by default the first there is among x, inputs, images,
        features, data, X, x_train.
      labels: likewise y, labels, targets, label, target, Y, y_train.

    Returns:
      Labelled.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an .npz file, truncated, no array of such a name, arrays of objects or of
        different n.

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
        with open(path, "rb") as stream:  # numpy leaves a file open that it cannot make sense of
            held = np.load(stream, allow_pickle=False)
            if not isinstance(held, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            x, y = (
                held[_name(held.files, inputs, INPUTS, "inputs")],
                held[_name(held.files, labels, LABELS, "labels")],
            )
    except (ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as an .npz file of inputs and labels: {error}"
        ) from None
    require_pairs(x, y, str(path))
    return Labelled(x, y, Path(path).name)


def _name(held: list[str], asked: str | None, usual: tuple[str, ...], what: str) -> str:
    if asked is not None and asked not in held:
        raise ValueError(
            f"there is no array {asked!r} for the {what}; its arrays are {', '.join(sorted(held))}"
        )
    found = asked or next((name for name in usual if name in held), None)
    if found is None:
        raise ValueError(
            f"none of its arrays ({', '.join(sorted(held))}) is named as {what} are: {', '.join(usual)}"
        )
    return found
