"""What the table of layers says: areas by position, their rank correlation, and where curves keep
their order.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from jaxalign._features import INPUT
from jaxalign.studies.framework.study import Row, column, where

CURVE = "A at "
"""Of the columns that hold A(τ)/‖y‖² of the trained layer, followed by τ/√n."""


def areas(rows: Sequence[Row], state: str) -> np.ndarray:
    """(seeds, layers) of one cell, inputs left out, "untrained" or "trained"."""
    hidden = [row for row in rows if row["layer"] != INPUT]
    seeds, positions = (sorted(set(column(hidden, name))) for name in ("seed", "position"))
    share = {(row["seed"], row["position"]): row[state] for row in hidden}
    return np.array([[share[seed, position] for position in positions] for seed in seeds])


def by_seed(rows: Sequence[Row], state: str) -> np.ndarray:
    """(seeds,) Spearman's ρ of position and area in each network of one cell."""
    table = areas(rows, state)
    return np.array([stats.spearmanr(np.arange(len(shares)), shares).statistic for shares in table])


def deeper_is_higher(curves: np.ndarray, seen: float) -> np.ndarray:
    """(g,) whether each curve lies at or over the one before it, of the thresholds where the last
    one is at least ``seen``.

    Args:
      curves: (layers, g) A(τ)/‖y‖², layers in order.
      seen: the share that has to be left.
    """
    rising = (np.diff(curves, axis=0) >= 0).all(axis=0)
    return rising & (curves[-1] >= seen)


def mean_curves(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """(g,) τ/√n and (1 + layers, g) A(τ)/‖y‖² of one cell, inputs first, then the trained layers,
    means over seeds.
    """
    names = [name for name in rows[0] if name.startswith(CURVE)]

    def at(position):
        return np.array([column(where(rows, {"position": position}), name) for name in names]).mean(
            axis=1
        )

    curves = np.stack([at(position) for position in sorted(set(column(rows, "position")))])
    return np.array([float(name.removeprefix(CURVE)) for name in names]), curves


def ranges(tau: np.ndarray, holds: np.ndarray) -> str:
    """The stretches of thresholds at which something holds, in words.

    Example:
      >>> import numpy as np
      >>> from jaxalign.studies.layers.table import ranges
      >>> ranges(np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, True, False, True]))
      '0.10–0.20 and 0.40'

    Source: ours.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
    ends = [(f"{tau[a]:.2f}", f"{tau[b - 1]:.2f}") for a, b in edges.reshape(-1, 2)]
    return " and ".join(a if a == b else f"{a}–{b}" for a, b in ends) or "nowhere"
