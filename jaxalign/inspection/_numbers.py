"""An inspection in a few numbers per layer, shares of ‖Y‖²: with several targets, those of all
columns together.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import aligned_rank, alignment_area, alignment_curve
from jaxalign.inspection._inspect import Inspection


class LayerNumbers(NamedTuple):
    """One layer.

    Attributes:
      area: ∫A dτ / ‖Y‖².
      null_area: its mean over all orders of the targets (the permutation null).
      alignment: (m,) A(τ) / ‖Y‖² at the thresholds.
      null_alignment: (m,) its mean over all orders of the targets.
      aligned_rank: the number of top directions that hold 90 % of what the layer spans of Y.
    """

    area: float
    null_area: float
    alignment: Float[np.ndarray, " m"]
    null_alignment: Float[np.ndarray, " m"]
    aligned_rank: int


class LayerCurves(NamedTuple):
    """One layer's A(τ)/‖Y‖² on a grid.

    Attributes:
      curve: (g,) of the targets as they are.
      null_curve: (g,) its mean over all orders of the targets.
    """

    curve: Float[np.ndarray, " g"]
    null_curve: Float[np.ndarray, " g"]


def numbers(
    inspection: Inspection, thresholds: Sequence[float] | Float[np.ndarray, " m"]
) -> OrderedDict[str, LayerNumbers]:
    """The LayerNumbers of every layer, in order.

    Args:
      inspection: what ``inspect`` measured.
      thresholds: (m,) values of τ.

    Returns:
      {layer: LayerNumbers}.

    Raises:
      ValueError: as ``alignment_curve``.

    Example:
      >>> from collections import OrderedDict
      >>> import jaxalign as ja
      >>> from jaxalign.alignment import spectrum_and_null
      >>> from jaxalign.inspection import Inspection, LayerPlan, numbers
      >>> s, null = spectrum_and_null([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> layers = OrderedDict(a=LayerPlan((1,), "float32", "mean", 1, 2))
      >>> inspection = Inspection(OrderedDict(a=s), OrderedDict(a=null), layers, {}, 3.0)
      >>> row = numbers(inspection, [2.0])["a"]
      >>> row.alignment.tolist(), row.null_alignment.tolist()
      ([0.666...], [0.333...])

    Source: ours.
    """
    rows: OrderedDict[str, LayerNumbers] = OrderedDict()
    for name, spectrum in inspection.spectra.items():
        share = _share(spectrum)
        null = _share(inspection.nulls[name])
        rows[name] = LayerNumbers(
            area=float(alignment_area(share)[0]),
            null_area=float(alignment_area(null)[0]),
            alignment=_curve(share, thresholds),
            null_alignment=_curve(null, thresholds),
            aligned_rank=int(aligned_rank(share)[0]),
        )
    return rows


def curves(
    inspection: Inspection, grid: Sequence[float] | Float[np.ndarray, " g"]
) -> OrderedDict[str, LayerCurves]:
    """The LayerCurves of every layer, in order. Example: as ``numbers``.

    Args:
      inspection: what ``inspect`` measured.
      grid: (g,) values of τ, as ``inspection.thresholds()``.

    Returns:
      {layer: LayerCurves}.

    Raises:
      ValueError: as ``alignment_curve``.

    Source: ours.
    """
    return OrderedDict(
        (name, LayerCurves(_curve(_share(s), grid), _curve(_share(inspection.nulls[name]), grid)))
        for name, s in inspection.spectra.items()
    )


def _share(spectrum: Spectrum) -> Spectrum:
    """The spectrum with the columns of targets added up, in units of ‖Y‖².

    A(τ) and the area are linear in the energies, so they become those of all columns together.
    """
    # By numpy, which compiles nothing for the shapes of each layer.
    total = np.asarray(spectrum.total).sum(keepdims=True)
    energy = np.asarray(spectrum.energy).sum(axis=1, keepdims=True)
    return replace(spectrum, energy=jnp.asarray(energy / total), total=jnp.asarray(total / total))


def _curve(
    share: Spectrum, grid: Sequence[float] | Float[np.ndarray, " g"]
) -> Float[np.ndarray, " g"]:
    return np.asarray(alignment_curve(share, np.asarray(grid, np.float32))[:, 0])
