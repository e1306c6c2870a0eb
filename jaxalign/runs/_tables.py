"""A history in the formats of other libraries: an xarray Dataset, a pandas or polars frame."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from jaxalign._core.kinds import found
from jaxalign.runs._columns import columns, free_name, own_axes
from jaxalign.runs._history import History
from jaxalign.runs._layout import layout_of
from jaxalign.runs._storage import Storage

Backend = Literal["pandas", "polars"]


class Axis(NamedTuple):
    """An axis of a variable.

    Attributes:
      name: that it has where no other axis is called so.
      values: along it; None where it has only a length.
      size: how many there are.
    """

    name: str
    values: np.ndarray | None
    size: int

    @property
    def key(self) -> tuple:
        """Equal for axes that are one dimension of the data set."""
        if self.values is None:
            return self.name, self.size
        return self.name, self.size, self.values.dtype.str, self.values.tobytes()


class Variable(NamedTuple):
    """Numbers with named axes."""

    name: str
    axes: list[Axis]
    values: np.ndarray


def as_xarray(history: History) -> Any:
    """See ``History.to_xarray``."""
    _require("to_xarray", "xarray")
    import xarray

    variables = list(_variables(history))
    names = _dimensions(variables)
    coordinates = {
        names[axis.key]: axis.values
        for variable in variables
        for axis in variable.axes
        if axis.values is not None
    }
    arrays = {
        variable.name: ([names[axis.key] for axis in variable.axes], variable.values)
        for variable in variables
    }
    return xarray.Dataset(arrays, coords=coordinates)


def as_frame(history: History, measure: str | None, backend: Backend) -> Any:
    """See ``History.to_frame``."""
    if backend not in get_args(Backend):
        known = ", ".join(get_args(Backend))
        raise ValueError(f"backend must be one of {known}, found {found(backend)}")
    table = columns(history, measure)
    _require("to_frame", "narwhals", backend)
    import narwhals

    return narwhals.from_dict(table, backend=backend).to_native()


def _require(method: str, *packages: str) -> None:
    if any(find_spec(package) is None for package in packages):
        raise ModuleNotFoundError(
            f"{method} needs {' and '.join(packages)}; pip install {' '.join(packages)}"
        )


def _variables(history: History) -> Iterator[Variable]:
    """Loss and metrics, ‖y‖² of each layer, and the measures as the files of a run hold them."""
    models = []
    if history.models is not None:
        models = [_axis("model", np.arange(history.models))]
    for name, values in {"loss": history.loss, **history.metrics}.items():
        yield Variable(name, [_axis("step", history.step), *models], values)
    files = layout_of(history, Storage(None, 1))
    names = [file.removesuffix(".npy") for file in files]
    if history.totals:
        name = free_name("total", [*names, *history.metrics])
        totals = np.array(list(history.totals.values()))
        yield Variable(name, [_axis("layer", list(history.totals))], totals)
    for name, file in zip(names, files.values(), strict=True):
        first = file.layers[0]
        axes = [_axis("step", history.steps_of(first, file.measure))]
        values = history.layers[first][file.measure]
        if file.stacked:
            axes.append(_axis("layer", file.layers))
            values = _stacked([history.layers[layer][file.measure] for layer in file.layers])
        axes += models
        axes += [Axis(*axis) for axis in own_axes(history, first, file.measure)]
        yield Variable(name, axes, values)


def _axis(name: str, values: Sequence[Any] | np.ndarray) -> Axis:
    array = np.asarray(values)
    return Axis(name, array, len(array))


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(r, layers, ...): of a run that was read a view of its file, in which layers lie side by
    side; of other arrays a copy.
    """
    first = arrays[0]
    if len(arrays) == 1:
        return first[:, None]
    starts = [array.__array_interface__["data"][0] for array in arrays]
    gaps = set(np.diff(starts).tolist())
    of_one_file = first.base is not None and all(
        array.base is first.base and array.strides == first.strides for array in arrays
    )
    if not of_one_file or len(gaps) > 1:
        return np.stack(arrays, axis=1)
    shape = (len(first), len(arrays), *first.shape[1:])
    strides = (first.strides[0], gaps.pop(), *first.strides[1:])
    return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)


def _dimensions(variables: Sequence[Variable]) -> dict[tuple, str]:
    """A name for each axis. Of several with one name the longest keeps it, and the others are
    called after the first variable that has them.
    """
    owners: dict[tuple, tuple[Axis, str]] = {}
    for variable in variables:
        for axis in variable.axes:
            owners.setdefault(axis.key, (axis, variable.name))
    taken = {variable.name for variable in variables}
    names: dict[tuple, str] = {}
    for key, (axis, owner) in sorted(owners.items(), key=lambda item: -item[1][0].size):
        name = free_name(axis.name, taken)
        if name in names.values():
            name = free_name(f"{axis.name}_{owner}", {*taken, *names.values()})
        names[key] = name
    return names
