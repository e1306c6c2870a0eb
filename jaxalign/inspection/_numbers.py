"""An inspection in a few numbers a layer, shares of ‖Y‖²: with several targets, those of all
columns together.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxalign._spectrum.spectrum import Spectrum
from jaxalign.alignment import aligned_rank, alignment_area, alignment_curve, random_label_curve
from jaxalign.inspection._inspect import Inspection


class LayerNumbers(NamedTuple):
    """One layer.

    Attributes:
      area: ∫A dτ / ‖Y‖².
      chance_area: its expectation for targets in random directions.
      alignment: (m,) A(τ) / ‖Y‖² at the thresholds.
      chance: (m,) its expectation for targets in random directions.
      aligned_rank: how many top directions hold 90 % of what of Y lies in the column space.
    """

    area: float
    chance_area: float
    alignment: np.ndarray
    chance: np.ndarray
    aligned_rank: int


class LayerCurves(NamedTuple):
    """One layer's A(τ)/‖Y‖² on a grid, (g,), and its expectation for targets in random directions."""

    curve: np.ndarray
    null: np.ndarray


def numbers(
    inspection: Inspection, thresholds: Sequence[float] | np.ndarray
) -> OrderedDict[str, LayerNumbers]:
    """The LayerNumbers of every layer, in order.

    Raises:
      ValueError: as ``alignment_curve``.

    Example:
      >>> from collections import OrderedDict
      >>> import jaxalign as ja
      >>> from jaxalign.inspection import Inspection, LayerPlan, numbers
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> layer = LayerPlan((1,), "float32", "mean", 1, 2)
      >>> numbers(Inspection(OrderedDict(a=s), OrderedDict(a=layer), {}, 3.0), [2.0])["a"].alignment.tolist()
      [0.666...]

    Source: ours.
    """
    found: OrderedDict[str, LayerNumbers] = OrderedDict()
    for name, share in _shares(inspection).items():
        at = _curves(share, inspection.rows(name), thresholds)
        found[name] = LayerNumbers(
            area=float(alignment_area(share)[0]),
            chance_area=float(share.singular_values.sum()) / inspection.rows(name),
            alignment=at.curve,
            chance=at.null,
            aligned_rank=int(aligned_rank(share)[0]),
        )
    return found


def curves(
    inspection: Inspection, grid: Sequence[float] | np.ndarray
) -> OrderedDict[str, LayerCurves]:
    """The LayerCurves of every layer, in order.

    Raises:
      ValueError: as ``alignment_curve``.
    """
    return OrderedDict(
        (name, _curves(share, inspection.rows(name), grid))
        for name, share in _shares(inspection).items()
    )


def usual_thresholds(samples: float) -> tuple[float, ...]:
    """Three τ to speak of, 5, 15 and 30 % of the largest possible σ = √n, to one digit: 2, 5 and 9
    for n = 1000.
    """
    return tuple(dict.fromkeys(float(f"{share * samples**0.5:.0e}") for share in (0.05, 0.15, 0.3)))


def _shares(inspection: Inspection) -> OrderedDict[str, Spectrum]:
    """Each layer's spectrum with the columns of targets summed up, in units of ‖Y‖²: all measures
    but the rank are linear.
    """
    found: OrderedDict[str, Spectrum] = OrderedDict()
    for name, s in inspection.spectra.items():
        total = s.total.sum(keepdims=True)
        found[name] = Spectrum(
            s.singular_values, s.energy.sum(axis=1, keepdims=True) / total, total / total
        )
    return found


def _curves(share: Spectrum, rows: float, grid: Sequence[float] | np.ndarray) -> LayerCurves:
    tau = np.asarray(grid, np.float32)
    null = random_label_curve(share, tau, rows)  # type: ignore[arg-type]  # weighted rows need not be whole
    return LayerCurves(np.asarray(alignment_curve(share, tau)[:, 0]), np.asarray(null[:, 0]))
