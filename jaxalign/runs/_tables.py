"""A history in the formats of other libraries: an xarray Dataset, a pandas or polars frame."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from jaxalign._core.kinds import found
from jaxalign._features import OUTPUTS
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
      otherwise: its name where a longer axis is called so; empty for one made of the variable's.
    """

    name: str
    values: np.ndarray | None
    size: int
    otherwise: str = ""

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
    outputs = _outputs(history)
    layers = [layer for layer in history.layers if layer not in outputs]
    if layers:
        name = free_name("total", [*names, *history.metrics])
        totals = np.array([history.totals.get(layer, np.nan) for layer in layers])
        yield Variable(name, [_axis("layer", layers)], totals)
    for name, file in zip(names, files.values(), strict=True):
        first = file.layers[0]
        steps = history.steps_of(first, file.measure)
        kind = "measured" if len(steps) == len(history.measured) else "array_steps"
        axes = [_axis("step", steps)._replace(otherwise=kind)]
        values = history.layers[first][file.measure]
        if file.stacked:
            values = _stacked([history.layers[layer][file.measure] for layer in file.layers])
            if outputs.issuperset(file.layers):
                axes.append(_axis("output", file.layers))
            else:
                axes.append(_axis("layer", layers))
                values = _with_missing(values, file.layers, layers)
        axes += models
        axes += [Axis(*axis) for axis in own_axes(history, first, file.measure)]
        yield Variable(name, axes, values)


def _outputs(history: History) -> set[str]:
    """The entries of a history that are not layers: what monitors measured of the model's outputs,
    which no layer has.
    """
    named = {name for name in history.layers if name.rpartition("/")[2] == OUTPUTS}
    of_layers = {m for name, own in history.layers.items() if name not in named for m in own}
    return {name for name in named if of_layers.isdisjoint(history.layers[name])}


def _with_missing(values: np.ndarray, own: Sequence[str], layers: Sequence[str]) -> np.ndarray:
    """(r, layers, ...): NaN of layers that are not among a measure's own; integers become floats
    then.
    """
    if list(own) == list(layers):
        return values
    dtype = values.dtype
    if not jax.dtypes.issubdtype(dtype, np.inexact):
        dtype = np.promote_types(dtype, np.float16)
    filled = np.full((len(values), len(layers), *values.shape[2:]), np.nan, dtype)
    filled[:, [layers.index(name) for name in own]] = values
    return filled


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
    """A name for each axis. Of several with one name the longest keeps it; others have their own
    second name, or are called after the first variable that has them.
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
            second = axis.otherwise or f"{axis.name}_{owner}"
            name = free_name(second, {*taken, *names.values()})
        names[key] = name
    return names
