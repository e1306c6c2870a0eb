"""Which measure is logged where: scalars in the rows of history.jsonl, arrays in .npy files."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from jaxalign.runs._history import History


class ScalarColumn(NamedTuple):
    """A measure with one number a step, in the rows of the layers that have it."""

    layers: list[str]
    dtype: str


class ArrayFile(NamedTuple):
    """A .npy file of one measure that grows by a row per measured step.

    Attributes:
      measure: its name.
      layers: of which layers; several are stacked along the axis "layer".
      dimensions: the names of its axes: "step", then, where there are several, "layer" and
        "model", then those of the measure.
      coordinates: {axis: its values}.
      dtype: of the numbers.
    """

    measure: str
    layers: list[str]
    dimensions: list[str]
    coordinates: dict[str, list]
    dtype: str

    @property
    def stacked(self) -> bool:
        """Whether the layers have an axis."""
        return "layer" in self.dimensions

    @property
    def stored(self) -> np.dtype:
        """The dtype in the file: numpy's format knows no bfloat16, which float32 holds exactly."""
        dtype = np.dtype(self.dtype)
        return dtype if dtype.isbuiltin == 1 else np.dtype(np.float32)


class Layout(NamedTuple):
    """Where the measures of a run are: {measure: column} and {file: array}."""

    scalars: dict[str, ScalarColumn]
    arrays: dict[str, ArrayFile]

    def as_json(self) -> dict[str, Any]:
        """For config.json."""
        return {
            "scalars": {name: column._asdict() for name, column in self.scalars.items()},
            "arrays": {file: array._asdict() for file, array in self.arrays.items()},
        }


def layout_of(part: History) -> Layout:
    """Where a history's measures go: arrays of one shape share a file, others have one each."""
    scalars: dict[str, ScalarColumn] = {}
    arrays: dict[str, ArrayFile] = {}
    leading = 1 if part.models is None else 2  # the axes of steps and models
    for measure in dict.fromkeys(name for logged in part.layers.values() for name in logged):
        values = {layer: m[measure] for layer, m in part.layers.items() if measure in m}
        names = list(values)
        dtype = next(iter(values.values())).dtype.name
        if all(x.ndim == leading for x in values.values()):
            scalars[measure] = ScalarColumn(names, dtype)
        elif _alike(part, measure, values):
            arrays[_file(measure, None, arrays)] = _array(part, measure, names, stacked=True)
        else:
            for layer in names:
                file = _file(measure, layer, arrays)
                arrays[file] = _array(part, measure, [layer], stacked=False)
    return Layout(scalars, arrays)


def layout_from(measured: Mapping[str, Any]) -> Layout:
    """The Layout that config.json holds under "measured"."""
    scalars = {name: ScalarColumn(**column) for name, column in measured["scalars"].items()}
    arrays = {file: ArrayFile(**array) for file, array in measured["arrays"].items()}
    return Layout(scalars, arrays)


def _alike(part: History, measure: str, values: Mapping[str, np.ndarray]) -> bool:
    """Whether all layers have arrays of one shape, with the same coordinates."""
    kinds = {
        (x.shape[1:], x.dtype.name, repr(_axes(part, layer, measure)))
        for layer, x in values.items()
    }
    return len(kinds) == 1


def _array(part: History, measure: str, layers: Sequence[str], *, stacked: bool) -> ArrayFile:
    values = part.layers[layers[0]][measure]
    axes = _axes(part, layers[0], measure)
    dimensions = ["step"]
    if stacked:
        dimensions.append("layer")
    if part.models is not None:
        dimensions.append("model")
    own = values.ndim - (1 if part.models is None else 2)
    unnamed = [f"axis_{i}" for i in range(len(axes), own)]
    dimensions += [*axes, *unnamed]
    return ArrayFile(measure, list(layers), dimensions, axes, values.dtype.name)


def _axes(part: History, layer: str, measure: str) -> dict[str, list]:
    found = part.coordinates.get(layer, {}).get(measure, {})
    return {axis: np.asarray(values).tolist() for axis, values in found.items()}


def _file(measure: str, layer: str | None, taken: Mapping[str, Any]) -> str:
    """A file name for every name: what file systems may not hold is escaped, and names that differ
    in upper and lower case only are told apart.
    """
    stem = escaped(measure) if layer is None else f"{escaped(measure)}.{escaped(layer)}"
    name = f"{stem}.npy"
    lowered = {file.lower() for file in taken}
    number = 2
    while name.lower() in lowered:
        name = f"{stem}~{number}.npy"
        number += 1
    return name


def escaped(name: str) -> str:
    """A name of a measure or layer as part of a file name."""
    return quote(name, safe=" ")
