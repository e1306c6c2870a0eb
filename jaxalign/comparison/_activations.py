"""Files of saved activations: .npz, .npy, safetensors or torch.save, an array for each layer,
perhaps with labels and with what tells the rows apart.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import ml_dtypes
import numpy as np

from jaxalign._core.kinds import require_choice
from jaxalign._features import Reduce
from jaxalign.comparison._layers import SavedLayers
from jaxalign.data._limit import MAX_BYTES, require_within
from jaxalign.data._npz import LABELS
from jaxalign.models.weights._file import tensors_in

Channels = Literal["auto", "first", "last"]

ROWS = ("row_ids", "rows", "ids", "row_hashes", "hashes", "index", "indices", "inputs_sha256")
"""Names of arrays that tell rows apart, by number, by text or by a hash."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# How numpy writes bfloat16.
_TWO_BYTES = np.dtype("V2")


class Stored(NamedTuple):
    """An array of a file: its shape, its dtype, and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


class Activations(NamedTuple):
    """What a file of activations holds.

    Attributes:
      layers: the layers.
      labels: (n,) or (n, k) of the same rows; None without any.
      rows: name → what tells the rows apart.
    """

    layers: SavedLayers
    labels: np.ndarray | None
    rows: Mapping[str, np.ndarray]


def is_activations(path: str | Path) -> bool:
    """Whether a path looks like a file of arrays rather than a model's name."""
    suffixes = (".npz", ".npy", ".safetensors", ".pt", ".pth", ".bin", ".pkl")
    return Path(path).suffix.lower() in suffixes


def read_activations(
    path: str | Path,
    *,
    reduce: Reduce = "mean",
    channels: Channels = "auto",
    choose: Callable[[list[str]], list[str]] = list,
    label: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Activations:
    """The layers in a file: every array (n, ...) of real numbers, in the order of the file.

    Args:
      path: .npz, .npy (one layer), safetensors, or a dict of tensors by torch.save.
      reduce: what becomes of the positions of maps: "mean", "flatten" or "cls".
      channels: which axis of maps (n, ., ., .) is of channels: "first" as in torch, "last" as in
        JAX; "auto" takes the one that differs from two others that are equal.
      choose: which of the layers, by their names.
      label: the array of labels; by default the first of labels, y, targets and the like.
      max_bytes: the most that an array may take.

    Returns:
      Activations.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: another kind of file, or a damaged one; no layer; layers of different n, maps of
        which "auto" cannot tell the channels; no array ``label``; an array over ``max_bytes``.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.comparison import read_activations
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     np.savez(f"{folder}/a.npz", conv1=np.ones((6, 8, 8, 3)), labels=np.arange(6) % 2)
      ...     found = read_activations(f"{folder}/a.npz")
      >>> found.layers.shapes["conv1"].width, found.labels.tolist()
      (3, [0, 1, 0, 1, 0, 1])

    Source: ours.
    """
    require_choice(channels, get_args(Channels), "channels")
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file of activations at {path}")
    try:
        stored = _stored(file)
        name = _label(stored, label)
        labels = None if name is None else _native(stored.pop(name).read())
        rows = {each: _native(stored.pop(each).read()) for each in ROWS if each in stored}
    except Exception as error:
        # Anything: zip files, numpy's headers and pickles each raise their own.
        raise ValueError(f"{path} cannot be read as activations: {error}") from error
    left_out = {each: why for each, array in stored.items() if (why := _reason(array))}
    names = choose([each for each in stored if each not in left_out])
    try:
        layers = _layers({each: stored[each] for each in names}, reduce, channels, max_bytes)
        return Activations(SavedLayers(*layers, reduce=reduce, left_out=left_out), labels, rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def require_same_rows(first: Activations, second: Activations) -> bool:
    """Raise if two files tell their rows apart, by ids, hashes or labels, and differ in them.

    Args:
      first: what ``read_activations`` read of one file.
      second: of the other one.

    Returns:
      Whether both hold ids or hashes, so that their rows are known to be the same.

    Raises:
      ValueError: they differ.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.comparison import read_activations, require_same_rows
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     np.savez(f"{folder}/a.npz", hidden=np.ones((4, 2)), row_ids=np.arange(4))
      ...     activations = read_activations(f"{folder}/a.npz")
      ...     require_same_rows(activations, activations)
      True

    Source: ours.
    """
    known = [name for name in ROWS if name in first.rows and name in second.rows]
    pairs = {name: (first.rows[name], second.rows[name]) for name in known}
    if first.labels is not None and second.labels is not None:
        pairs["labels"] = first.labels, second.labels
    for name, (of_first, of_second) in pairs.items():
        if np.array_equal(of_first, of_second):
            continue
        message = f"both files must be of the same rows, found other {name}"
        if of_first.shape == of_second.shape and of_first.ndim == 1:
            place = int(np.flatnonzero(of_first != of_second)[0])
            message += f" from row {place} on ({of_first[place]} and {of_second[place]})"
            if np.array_equal(np.sort(of_first), np.sort(of_second)) and name != "labels":
                message += "; they are the same in another order: sort both files by them"
        raise ValueError(message)
    return bool(known)


def _layers(
    stored: Mapping[str, Stored], reduce: Reduce, channels: Channels, max_bytes: int
) -> tuple[Mapping[str, np.ndarray], dict[str, tuple[int, ...]]]:
    shapes = {}
    readers = {}
    for name, array in stored.items():
        is_first = reduce != "flatten" and _are_channels_first(name, array.shape, channels)
        n, *rest = array.shape
        shapes[name] = (n, *rest[1:], rest[0]) if is_first else array.shape
        readers[name] = _Reader(name, array, is_first, max_bytes)
    return _Lazy(readers), shapes


class _Reader(NamedTuple):
    name: str
    array: Stored
    channels_first: bool
    max_bytes: int

    def __call__(self) -> np.ndarray:
        size = int(np.prod(self.array.shape)) * self.array.dtype.itemsize
        require_within(size, self.max_bytes, f"its array {self.name!r}")
        values = _native(self.array.read())
        return np.moveaxis(values, 1, -1) if self.channels_first else values


class _Lazy(Mapping):
    """Arrays that are read when they are asked for."""

    def __init__(self, readers: Mapping[str, _Reader]):
        self._readers = readers

    def __getitem__(self, name: str) -> np.ndarray:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def _are_channels_first(name: str, shape: tuple[int, ...], channels: Channels) -> bool:
    """Whether a map has its channels before its positions, as torch lays them out."""
    if len(shape) != 4 or channels == "last":
        return False
    if channels == "first":
        return True
    _, one, two, three = shape
    if (one == two) == (two == three):
        raise ValueError(
            f"maps {name} {shape} may have their channels first (torch) or last (JAX); "
            "say which by channels (--channels first or last)"
        )
    return two == three


def _stored(path: Path) -> dict[str, Stored]:
    """The arrays of a file; those of .npz and .npy are not read yet."""
    if path.suffix.lower() == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return {path.stem: Stored(array.shape, array.dtype, partial(np.asarray, array))}
    if path.suffix.lower() == ".npz":
        return _zipped(path)
    return {
        name: Stored(array.shape, array.dtype, partial(np.asarray, array))
        for name, array in tensors_in(path).items()
    }


def _zipped(path: Path) -> dict[str, Stored]:
    stored = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                if version not in _HEADERS:
                    raise ValueError(f"its array {name!r} has the unknown format {version}")
                shape, _, dtype = _HEADERS[version](file)
            stored[name] = Stored(shape, dtype, partial(_entry, path, name))
    return stored


def _entry(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def _label(stored: Mapping[str, Stored], wanted: str | None) -> str | None:
    if wanted is not None and wanted not in stored:
        raise ValueError(f"there is no array {wanted!r} for labels; it has {', '.join(stored)}")
    if wanted is not None:
        return wanted
    return next((name for name in LABELS if name in stored and len(stored[name].shape) < 3), None)


def _reason(array: Stored) -> str:
    """Why an array is not a layer; empty if it is one."""
    if array.dtype.hasobject:
        return "objects, which are pickled and could run anything"
    if array.dtype.kind not in "fiu" and array.dtype not in (ml_dtypes.bfloat16, _TWO_BYTES):
        return f"{array.dtype}, no real numbers"
    if len(array.shape) < 2 or 0 in array.shape:
        return f"shape {array.shape} is not (n, ...)"
    return ""


def _native(array: np.ndarray) -> np.ndarray:
    """Kinds that numpy keeps and jax does not know, as those it knows."""
    if array.dtype == _TWO_BYTES:
        array = array.view(ml_dtypes.bfloat16)
    if array.dtype == ml_dtypes.bfloat16:
        return array.astype(np.float32)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
