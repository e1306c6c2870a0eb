"""The measurement of the study of learning curves: predictions beside heads, over draws of rows."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxalign._spectrum.batched import spectra
from jaxalign.learning import learning_curve
from jaxalign.statistics import jackknife
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.learning.design import BEST, Config, Sampling, sampling
from jaxalign.studies.learning.heads import Fitted, fit_heads
from jaxalign.studies.learning.representations import Rows, rows_of
from jaxalign.studies.learning.tasks import TASKS

# Strengths among which the heads' best is sought.
SEARCHED = np.geomspace(1e-4, 1e2, 25)


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per strength and number of rows: means over draws."""
    problem = TASKS[str(cell["task"])]()
    design = sampling(config, len(problem.inputs))
    rows = rows_of(config, problem, str(cell["representation"]), design.pool)
    draw = np.random.default_rng(1)
    orders = np.stack([draw.permutation(design.pool) for _ in range(design.draws)])
    predicted = _predicted(config.ridges, design, rows, orders)
    strengths = np.concatenate([config.ridges, SEARCHED])
    measured = _measured(design.sizes, rows, orders, strengths)
    # The best of the strengths that were searched, for each number of rows.
    best = len(config.ridges) + measured.error[..., len(config.ridges) :].mean(axis=0).argmin(
        axis=1
    )
    return [
        {
            **cell,
            "width": rows.features.shape[1],
            "draws": design.draws,
            "known": design.known,
            "ridge": ridge if ridge == BEST else f"{ridge:g}",
            "n": n,
            **_compared(
                predicted[:, i, j],
                Fitted(*(values[:, j, best[j] if ridge == BEST else i] for values in measured)),
            ),
        }
        for i, ridge in enumerate([*config.ridges, BEST])
        for j, n in enumerate(design.sizes)
    ]


def _predicted(
    ridges: Sequence[float], design: Sampling, rows: Rows, orders: Int[np.ndarray, "draws pool"]
) -> Float[np.ndarray, "draws ridges sizes"]:
    """From the spectrum of the first N rows of each draw."""
    known = orders[:, : design.known]
    of_draws = spectra(jnp.asarray(rows.features[known]), rows.targets[known])
    n = jnp.asarray(design.sizes, jnp.float32)
    curves = [
        jax.vmap(lambda s, ridge=ridge: learning_curve(s, n, ridge=ridge)[:, 0])(of_draws)
        for ridge in (*ridges, BEST)
    ]
    return np.stack(curves, axis=1).astype(np.float64)


def _measured(
    sizes: Sequence[int],
    rows: Rows,
    orders: Int[np.ndarray, "draws pool"],
    strengths: np.ndarray,
) -> Fitted:
    """Of all heads, (draws, sizes, strengths), tested on the rows that no head of a draw sees."""
    heads = [
        [fit_heads(rows, order[:n], order[max(sizes) :], strengths) for n in sizes]
        for order in orders
    ]
    return Fitted(*np.moveaxis(np.array(heads), 2, 0))


def _compared(predicted: Float[np.ndarray, " draws"], heads: Fitted) -> dict[str, float]:
    """Means over draws, and by which share the prediction misses."""

    def miss(of: np.ndarray, draws: np.ndarray) -> float:
        return float(of[draws].mean() / heads.error[draws].mean() - 1)

    every = np.arange(len(predicted))
    value = low = high = math.nan
    # With more rows than the spectrum has, there is no prediction at small strengths.
    if np.isfinite(predicted).all():
        without = [miss(predicted, np.delete(every, i)) for i in every]
        value, low, high, _ = jackknife(miss(predicted, every), without).estimate
    return {
        "predicted": float(predicted.mean()),
        "measured": float(heads.error.mean()),
        "miss": value,
        "low": low,
        "high": high,
        "scatter": float(predicted.std(ddof=1) / heads.error.mean()),
        "freedom": float(heads.freedom.mean()),
        "miss_of_left_out": miss(heads.left_out, every),
    }
