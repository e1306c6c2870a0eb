"""The pair moments of every pair of layers of two models, each sum held once."""

from collections.abc import Mapping

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import power_of_ten, require_finite
from jaxalign._core.float64 import float64_array
from jaxalign._core.kinds import as_count, require_kind
from jaxalign.similarity._augmented import PIVOT_DIGITS
from jaxalign.similarity._pair_moments import PairMoments


class GridMoments:
    """The sums of ``pair_moments(x, y)`` for every layer x of one model and every layer y of
    another one, added batch by batch on the host, in float64.

    The products of a layer with itself are held once, not once for each pair: for P and Q columns
    in all, some 8(PQ + Σp² + Σq²) bytes, whatever the number of rows.

    Args:
      first_widths: layer → p of one model.
      second_widths: layer → q of the other one.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
      >>> sums = similarity.GridMoments({"a": 3}, {"b": 3})
      >>> for rows in (x[:10], x[10:]):
      ...     sums.add({"a": rows}, {"b": 2 * rows})
      >>> similarity.linear_cka(sums.pair("a", "b")).item()
      1.0

    Source: ours.
    """

    def __init__(self, first_widths: Mapping[str, int], second_widths: Mapping[str, int]):
        self._sides = (
            _Side(_checked_widths(first_widths, "first_widths")),
            _Side(_checked_widths(second_widths, "second_widths")),
        )
        self._cross = np.zeros([side.width for side in self._sides])
        self._precision = "float32"

    @staticmethod
    def memory(first_widths: Mapping[str, int], second_widths: Mapping[str, int]) -> int:
        """Bytes that the sums take."""
        widths = [list(side.values()) for side in (first_widths, second_widths)]
        crossed = [sum(each) + 1 + len(each) for each in widths]
        own = sum((width + 2) ** 2 for each in widths for width in each)
        return 8 * (crossed[0] * crossed[1] + own)

    @property
    def layers(self) -> tuple[list[str], list[str]]:
        """The names of the layers of both."""
        first, second = self._sides
        return list(first.widths), list(second.widths)

    def add(self, xs: Mapping[str, ArrayLike], ys: Mapping[str, ArrayLike]) -> None:
        """Add a batch: (m, p) of each layer of one model, and (m, q) of the other one.

        Raises:
          ValueError: other layers or widths than were named, or of different m; values that are not
            finite; fourth powers beyond float64.
          TypeError: no mappings of arrays of numbers.
        """
        batch = [_checked_rows(each, name) for each, name in ((xs, "xs"), (ys, "ys"))]
        counts = {x.shape[:1] for each in batch for x in each.values()}
        for side, each in zip(self._sides, batch, strict=True):
            found = {name: x.shape[1:] for name, x in each.items()}
            wanted = {name: (width,) for name, width in side.widths.items()}
            if found != wanted or len(counts) != 1 or (0,) in counts:
                raise ValueError(
                    f"layers must be (m, d) of one m with d as in {side.widths}, found "
                    f"{ {name: x.shape for name, x in each.items()} }"
                )
        left, right = (side.add(each) for side, each in zip(self._sides, batch, strict=True))
        self._cross += left.T @ right
        if any(x.dtype == np.float64 for each in batch for x in each.values()):
            self._precision = "float64"

    def pair(self, first: str, second: str) -> PairMoments:
        """The PairMoments of two layers.

        Raises:
          ValueError: a layer that was not named; no rows.
        """
        left, right = self._sides
        for side, name in ((left, first), (right, second)):
            if name not in side.widths:
                raise ValueError(f"layers must be among {list(side.widths)}, found {name!r}")
        if not left.pivots:
            raise ValueError("sums must be of at least one batch, found none; call add first")
        p, q = left.widths[first], right.widths[second]
        # Of z = (x, y, 1, ‖x‖², ‖y‖²), the places of (x, 1, ‖x‖²) and of (y, 1, ‖y‖²).
        one = p + q
        of_x = np.array([*range(p), one, one + 1])
        of_y = np.array([*range(p, one), one, one + 2])
        products = np.empty((one + 3, one + 3))
        products[np.ix_(of_x, of_x)] = left.own[first]
        products[np.ix_(of_y, of_y)] = right.own[second]
        crossed = self._cross[np.ix_(left.places(first), right.places(second))]
        products[np.ix_(of_x, of_y)] = crossed
        products[np.ix_(of_y, of_x)] = crossed.T
        pivot = np.concatenate([left.pivots[first], right.pivots[second]])
        powers = np.stack([np.ones_like(pivot), pivot, pivot**2])
        arrays = float64_array(products), float64_array(powers)
        return PairMoments(*arrays, (p, q), self._precision)


def _checked_widths(widths: Mapping[str, int], name: str) -> dict[str, int]:
    require_kind(widths, Mapping, name, 'pass {"layer": 512}')
    if not widths:
        raise ValueError(f"{name} must hold at least one layer, found none")
    return {layer: as_count(width, f"{name}[{layer!r}]") for layer, width in widths.items()}


def _checked_rows(layers: Mapping[str, ArrayLike], name: str) -> dict[str, np.ndarray]:
    require_kind(layers, Mapping, name, 'pass {"layer": rows}')
    rows = {layer: np.asarray(as_numbers(x, f"{name}[{layer!r}]")) for layer, x in layers.items()}
    for layer, x in rows.items():
        require_finite(x, f"{name}[{layer!r}]")
    return rows


class _Side:
    """The layers of one model: their places in a row (x_1 …, 1, ‖x_1‖² …) about their pivots, and
    the products of each with itself.
    """

    def __init__(self, widths: Mapping[str, int]):
        self.widths = dict(widths)
        ends = np.cumsum(list(self.widths.values()))
        self._columns = {
            name: slice(end - self.widths[name], end)
            for name, end in zip(self.widths, ends.tolist(), strict=True)
        }
        self._one = int(ends[-1])
        self.width = self._one + 1 + len(self.widths)
        self.own = {name: np.zeros((d + 2, d + 2)) for name, d in self.widths.items()}
        self.pivots: dict[str, Float[np.ndarray, " d"]] = {}

    def places(self, name: str) -> np.ndarray:
        """Of (x, 1, ‖x‖²) of a layer."""
        columns = self._columns[name]
        square = self._one + 1 + list(self.widths).index(name)
        return np.array([*range(columns.start, columns.stop), self._one, square])

    def add(self, rows: Mapping[str, np.ndarray]) -> Float[np.ndarray, "m w"]:
        """Add the products of each layer with itself; returns the rows."""
        if not self.pivots:
            self.pivots = {name: _rounded(x.mean(axis=0, dtype=float)) for name, x in rows.items()}
        count = len(next(iter(rows.values())))
        whole = np.ones((count, self.width))
        for number, name in enumerate(self.widths):
            about = whole[:, self._columns[name]]
            np.subtract(rows[name], self.pivots[name], out=about)
            # Infinities are looked for in the result.
            with np.errstate(over="ignore", invalid="ignore"):
                whole[:, self._one + 1 + number] = np.einsum("nd,nd->n", about, about)
                own = whole[:, self.places(name)]
                self.own[name] += own.T @ own
            if not np.isfinite(self.own[name]).all():
                largest = float(np.abs(rows[name]).max())
                raise ValueError(
                    f"{name} must have fourth powers within float64, found values up to "
                    f"{largest:.1e}; divide {name} by {power_of_ten(largest):.0e}"
                )
        return whole


def _rounded(pivot: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """In ``PIVOT_DIGITS`` binary digits, so that its squares are exact."""
    mantissa, exponent = np.frexp(pivot)
    return np.ldexp(np.round(mantissa * 2**PIVOT_DIGITS) / 2**PIVOT_DIGITS, exponent)
