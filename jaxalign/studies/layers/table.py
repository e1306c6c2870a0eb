"""What the table of layers says: areas by position, their rank correlation, the order of curves."""

import numpy as np
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.studies.shared.ranks import rank_correlation

CURVE = "A at "
"""The columns with A(τ)/‖y‖² of the trained layer begin so; τ/√n follows."""


def areas(cell: DataFrame, state: str) -> np.ndarray:
    """(seeds, layers) of one cell, without the inputs, "untrained" or "trained"."""
    hidden = cell[cell["layer"] != INPUT]
    return hidden.pivot(index="seed", columns="position", values=state).to_numpy()


def rank_correlations(cell: DataFrame, state: str) -> np.ndarray:
    """(seeds,) Spearman's ρ of position and area in each network of one cell."""
    table = areas(cell, state)
    positions = np.arange(table.shape[1])
    return np.array([rank_correlation(positions, shares) for shares in table])


def deeper_is_higher(curves: np.ndarray, seen: float) -> np.ndarray:
    """(g,) whether no curve lies below the one before it, and the last one is at least ``seen``.

    Args:
      curves: (layers, g) A(τ)/‖y‖², layers in order.
      seen: the share that has to be left.
    """
    rising = (np.diff(curves, axis=0) >= 0).all(axis=0)
    return rising & (curves[-1] >= seen)


def mean_curves(cell: DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(g,) τ/√n and (1 + layers, g) A(τ)/‖y‖² of one cell, means over seeds.

    The inputs come first, then the trained layers.
    """
    names = [name for name in cell.columns if name.startswith(CURVE)]
    thresholds = np.array([float(name.removeprefix(CURVE)) for name in names])
    return thresholds, cell.groupby("position")[names].mean().to_numpy()


def ranges(thresholds: np.ndarray, holds: np.ndarray) -> str:
    """The stretches of thresholds at which something holds, in words.

    Example:
      >>> import numpy as np
      >>> from jaxalign.studies.layers.table import ranges
      >>> ranges(np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, True, False, True]))
      '0.10–0.20 and 0.40'
    """
    # A stretch begins where the flag changes to True, and ends where it changes back.
    changes = np.diff(np.concatenate([[False], holds, [False]]).astype(int))
    stretches = []
    for begin, end in np.flatnonzero(changes).reshape(-1, 2):
        first = f"{thresholds[begin]:.2f}"
        last = f"{thresholds[end - 1]:.2f}"
        stretches.append(first if first == last else f"{first}–{last}")
    return " and ".join(stretches) or "nowhere"
