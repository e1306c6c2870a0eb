"""Which measure is logged in which file: one .npy for all layers, or one for each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from jaxalign._core.naming import free_name
from jaxalign.runs._history import IN_SHARES, History
from jaxalign.runs._storage import REMEDY, Storage, narrowed


class ArrayFile(NamedTuple):
    """A .npy file of one measure that grows by a row per measured step.

    Attributes:
      measure: its name.
      layers: of which layers; several are stacked along the axis "layer".
      dimensions: the names of its axes: "step", then, where there are several, "layer" and
        "model", then those of the measure.
      coordinates: {axis: its values}.
      dtype: of the numbers.
      every: k, where only the first, the k-th, the 2k-th, ... measured step has a row.
    """

    measure: str
    layers: list[str]
    dimensions: list[str]
    coordinates: dict[str, list]
    dtype: str
    every: int

    @property
    def stacked(self) -> bool:
        """Whether the layers have an axis."""
        return "layer" in self.dimensions

    @property
    def stored(self) -> np.dtype:
        """The dtype in the file: numpy's format knows no bfloat16, whose bytes ``np.save`` stores
        without their meaning.
        """
        dtype = np.dtype(self.dtype)
        return dtype if dtype.isbuiltin == 1 else np.dtype(f"V{dtype.itemsize}")

    def rows_before(self, measured: int) -> int:
        """How many rows it has when so many steps were measured."""
        return -(-measured // self.every)

    def rows_of(self, part: History, measured: int) -> np.ndarray:
        """Its rows of a part of a run before which so many steps were measured.

        Raises:
          ValueError: a finite value is beyond the dtype that it is kept in.
        """
        begin = -measured % self.every
        dtype = np.dtype(self.dtype)
        each = [
            narrowed(
                np.asarray(part.layers[layer][self.measure])[begin :: self.every],
                dtype,
                f"measure {self.measure!r} of layer {layer!r}",
            )
            for layer in self.layers
        ]
        rows = np.stack(each, axis=1) if self.stacked else each[0]
        return rows.view(self.stored)


LONGEST = 245
"""So many characters of a measure and its layer are in a file name; file systems take 255."""

Layout = dict[str, ArrayFile]
"""Where the measures of a run are: {file: what it holds}."""


def layout_of(part: History, storage: Storage) -> Layout:
    """Where a history's measures go: arrays of one shape share a file, others have one each."""
    layout: Layout = {}
    for measure in dict.fromkeys(name for logged in part.layers.values() for name in logged):
        names = [layer for layer, logged in part.layers.items() if measure in logged]
        if _alike(part, measure, names):
            file = _file(measure, None, layout)
            layout[file] = _array(part, measure, names, storage, stacked=True)
        else:
            for layer in names:
                file = _file(measure, layer, layout)
                layout[file] = _array(part, measure, [layer], storage, stacked=False)
    return layout


def layout_from(measured: Mapping[str, Any]) -> Layout:
    """The Layout that config.json holds under "measured"."""
    return {file: ArrayFile(**array) for file, array in measured["arrays"].items()}


def require_storable(layout: Layout, part: History) -> None:
    """Raise where the first part of a run is beyond the dtype that arrays are kept in, or where a
    curve may come to be beyond float16: ‖y‖² is its limit.
    """
    limit = float(np.finfo(np.float16).max)
    for array in layout.values():
        for layer in array.layers:
            is_share = array.dtype == "float16" and array.measure in IN_SHARES
            if is_share and part.totals[layer] > limit:
                raise ValueError(
                    f"measure {array.measure!r} of layer {layer!r} may grow to ‖y‖² = "
                    f"{part.totals[layer]:g}, and float16 ends at {limit:g}; {REMEDY}"
                )
        array.rows_of(part, 0)


def _alike(part: History, measure: str, layers: Sequence[str]) -> bool:
    """Whether all layers have arrays of one shape, with the same coordinates."""
    kinds = set()
    for layer in layers:
        values = part.layers[layer][measure]
        kinds.add((values.shape[1:], values.dtype.name, repr(_axes(part, layer, measure))))
    return len(kinds) == 1


def _array(
    part: History, measure: str, layers: Sequence[str], storage: Storage, *, stacked: bool
) -> ArrayFile:
    values = part.layers[layers[0]][measure]
    axes = _axes(part, layers[0], measure)
    dimensions = ["step"]
    if stacked:
        dimensions.append("layer")
    if part.models is not None:
        dimensions.append("model")
    own = values.ndim - part.loss.ndim
    unnamed = [f"axis_{i}" for i in range(len(axes), own)]
    dimensions += [*axes, *unnamed]
    if own == 0:
        storage = Storage(None, 1)
    dtype = storage.dtype_of(values.dtype)
    return ArrayFile(measure, list(layers), dimensions, axes, dtype, storage.every)


def _axes(part: History, layer: str, measure: str) -> dict[str, list]:
    found = part.coordinates.get(layer, {}).get(measure, {})
    return {axis: np.asarray(values).tolist() for axis, values in found.items()}


def _file(measure: str, layer: str | None, taken: Mapping[str, Any]) -> str:
    """A file name for every name: what file systems may not hold is escaped, long ones are cut, and
    names that differ in upper and lower case or at their ends only are told apart.
    """
    stem = escaped(measure) if layer is None else f"{escaped(measure)}.{escaped(layer)}"
    stem = stem[:LONGEST]
    lowered = {file.lower() for file in taken}
    free = free_name(stem, lambda stem: f"{stem}.npy".lower() in lowered)
    return f"{free}.npy"


def escaped(name: str) -> str:
    """A name of a measure or layer as part of a file name."""
    return quote(name, safe=" ")
