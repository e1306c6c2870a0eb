"""From the named values of a program to activations (n, ...) by layer.

Transformations put axes before a value. One of them may run over the samples: it becomes the first
axis. Axes of a scan, and those of a vmap that the parameters have too, number layers: ``name[0]``,
``name[1]``, ... Other axes of a vmap run over positions of a sample and come after the samples. A
tag does not say where a vmap has put its axis: there every axis of the value is looked at.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, combinations, takewhile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign.capture._filters import Filters, names_of_calls, require_all_found
from jaxalign.capture._program import Program, program
from jaxalign.capture._sites import MARKS, Naming, Site


def run_layers(
    call: Program,
    naming: Naming,
    fits: Mapping[str, Sequence[bool]],
    function: Callable[..., Any],
    arguments: Sequence[Any],
    settings: Mapping[str, Any],
) -> tuple[Any, OrderedDict[str, Array]]:
    """The result of a traced call, and the activations of the layers that fit a filter.

    Args:
      call: the traced call of ``function(*arguments, **settings)``, whose first argument holds the
        state.
      naming: what names the values.
      fits: name → which filters fit.
      function: for calls with another number of samples.
      arguments: of the call.
      settings: of the call.

    Raises:
      ValueError: a layer in a transformation that has no way out for values, or whose axes cannot
        be told apart.
    """

    def wanted(name: str) -> bool:
        return any(fits[name])

    batch = _Batch(call, naming, function, arguments, settings)
    found = [(site, batch.layout(site)) for site in batch.sites if wanted(site.name)]
    names = names_of_calls(site.name for site, _ in found)
    output, values = call.run(naming, wanted)
    entries: list[tuple[tuple[int, ...], str, Array]] = []
    for (site, layout), name, value in zip(found, names, values, strict=True):
        entries += _entries(site, layout, name, value)
    entries.sort(key=lambda entry: entry[0])
    return output, OrderedDict((name, activation) for _, name, activation in entries)


def run_marked(
    call: Program,
    filters: Filters,
    fits: Mapping[str, tuple[bool, ...]],
    at: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    settings: Mapping[str, Any],
) -> tuple[Any, OrderedDict[str, Array]]:
    """``run_layers`` of a program with marks, ``at`` the output or the input of layers.

    Raises:
      ValueError: filters that fit none of the layers with a mark, or as ``run_layers``.
    """
    computed = {site.name: fits[site.name] for site in call.sites(MARKS)}
    require_all_found(filters, computed, never_computed(at))
    return run_layers(call, MARKS, fits, function, arguments, settings)


def never_computed(at: str) -> str:
    """Why a layer of the model has no mark."""
    return f"were asked for and their {at} was never computed, or is not an array"


class _Layout(NamedTuple):
    """Which axes of a value number layers, and which are the samples; the others are features."""

    numbers: tuple[int, ...]
    rows: tuple[int, ...]


def _entries(
    site: Site, layout: _Layout, name: str, value: Array
) -> Iterator[tuple[tuple[int, ...], str, Array]]:
    """(when it was computed, name, activation) of each layer in a value."""
    features = [i for i in range(value.ndim) if i not in (*layout.numbers, *layout.rows)]
    moved = jnp.transpose(value, (*layout.numbers, *layout.rows, *features))
    lengths = [value.shape[i] for i in layout.numbers]
    if layout.rows:
        moved = moved.reshape(*lengths, -1, *(value.shape[i] for i in features))
    for index in np.ndindex(*lengths):
        iterations = dict(zip(layout.numbers, index, strict=True))
        loops = (iterations.get(i, 0) for i, axis in enumerate(site.axes) if axis.is_loop)
        when = (next(loops) if part is None else part for part in site.order)
        numbered = name + "".join(f"[{i}]" for i in index)
        yield (*when, *index), numbered, moved[index]


class _Batch:
    """The samples of a call: how many, and which axes run over them."""

    def __init__(
        self,
        call: Program,
        naming: Naming,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        settings: Mapping[str, Any],
    ):
        self.sites = call.sites(naming)
        self.naming = naming
        self.function = function
        self.state = arguments[:1]
        self.inputs = (tuple(arguments[1:]), dict(settings))
        sizes = [leaf.shape[0] for leaf in jax.tree.leaves(self.inputs) if _has_rows(leaf)]
        self.size = next(iter(sizes), None)

    def layout(self, site: Site) -> _Layout:
        """What the axes of a value are."""
        if not site.axes and self.naming is MARKS:
            return _Layout((), ())
        rows = self._rows(site)
        numbers = tuple(
            i
            for i, axis in enumerate(site.axes)
            if i not in rows and (axis.is_loop or self._is_of_layers(site, i))
        )
        return _Layout(numbers, rows)

    def _rows(self, site: Site) -> tuple[int, ...]:
        """The axes that together run over the samples; none if the value has no samples."""
        depth = len(site.axes)
        free = [i for i, axis in enumerate(site.axes) if not axis.of_layers]
        # The first axis of the value itself may be the samples, or a part of them; of a tag any.
        last = depth + 1 if self.naming is MARKS else len(site.shape)
        free += range(depth, min(last, len(site.shape)))
        parts = [i for i in free if site.shape[i] > 1]
        several = (combinations(parts, number) for number in range(2, len(parts) + 1))
        groups: Iterator[tuple[int, ...]] = chain(((i,) for i in free), *several)
        candidates = [axes for axes in groups if _size(site, axes) == self.size]
        if candidates in ([], [(depth,)]):
            return tuple(chain(*candidates))
        if self._twice is None:
            return self._only(candidates, site)
        # Axes of samples are those that grow with the number of samples.
        twice = self._twice[self.sites.index(site)]
        grown = [axes for axes in candidates if _size(twice, axes) == 2 * _size(site, axes)]
        return next(iter(grown), ())

    @cached_property
    def _twice(self) -> list[Site] | None:
        """The sites of the same call with twice as many samples; None if there is no such call."""

        def doubled(leaf: Any) -> Any:
            if _has_rows(leaf) and leaf.shape[0] == self.size:
                return jnp.concatenate([leaf, leaf])
            return leaf

        inputs, settings = jax.tree.map(doubled, self.inputs)
        try:
            call = program(self.function, (*self.state, *inputs), settings)
        # A model that fixes the number of samples may raise anything for another one.
        except Exception:
            return None
        twice = call.sites(self.naming)
        if [site.name for site in twice] != [site.name for site in self.sites]:
            return None
        return twice

    def _only(self, candidates: list[tuple[int, ...]], site: Site) -> tuple[int, ...]:
        """The samples of a model that takes no other number of them."""
        # Later axes of a tagged value are meant only where the first ones cannot be.
        first = len(site.axes)
        likely = [axes for axes in candidates if max(axes) <= first]
        likely = likely or [axes for axes in candidates if len(axes) == 1]
        if not likely:
            return ()
        if len(likely) == 1 and not any(axis.is_loop for axis in site.axes):
            return likely[0]
        transforms = " and ".join(dict.fromkeys(axis.transform for axis in site.axes))
        raise ValueError(
            f"{self.naming.word} {site.name!r} is inside {transforms}, with axes of "
            f"{[axis.size for axis in site.axes]} before a value for {self.size} samples, and the "
            "model runs with no other number of samples that would tell them apart; "
            f"pass another number of samples, or leave this {self.naming.word} out"
        )

    def _is_of_layers(self, site: Site, i: int) -> bool:
        """Whether an axis of a vmap runs over layers.

        A layer without parameters is judged by the nearest one with parameters and the same axes.
        """
        axis = site.axes[i]
        if axis.of_layers is not None or axis.is_loop:
            return bool(axis.of_layers)
        here = self.sites.index(site)
        relatives = [
            ((_common(site.name, other.name), -abs(here - there)), other.axes[i].of_layers)
            for there, other in enumerate(self.sites)
            if _transforms(other) == _transforms(site) and other.axes[i].of_layers is not None
        ]
        return bool(max(relatives, default=(0, False))[1])


def _has_rows(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and leaf.ndim > 0


def _size(site: Site, axes: Sequence[int]) -> int:
    return math.prod(site.shape[i] for i in axes)


def _transforms(site: Site) -> list[tuple[int, str]]:
    return [(axis.size, axis.transform) for axis in site.axes]


def _common(name: str, other: str) -> int:
    """How many parts of dotted names agree from the start."""
    parts = zip(name.split("."), other.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], parts))
