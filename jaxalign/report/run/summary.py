"""A run in a few numbers: what each layer's alignment was before training, and what it became, over
all seeds.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign._features import INPUT
from jaxalign.runs import History
from jaxalign.statistics import Estimate, median_interval


class LayerSummary(NamedTuple):
    """One layer, before and after; areas and alignments are over ‖y‖², so that alignments are
    shares. Each an Estimate: over several models the median and its interval, of one model (n = 1)
    the value three times.

    Attributes:
      layer: its name.
      area: ∫A dτ / ‖y‖², untrained and last.
      alignment: A(τ) / ‖y‖² at the headline threshold, untrained and last.
      chance: what random labels would have at that threshold, last.
    """

    layer: str
    area: tuple[Estimate, Estimate]
    alignment: tuple[Estimate, Estimate]
    chance: float


def summarize(history: History) -> list[LayerSummary]:
    """A LayerSummary for every layer, in order."""
    middle = middle_threshold(history)
    tau = history.thresholds[middle]
    seeds = over_models(history)

    def ends(values: Estimate) -> tuple[Estimate, Estimate]:
        shares = values.map(lambda x: x / history.total)
        return shares.map(lambda x: float(x[0])), shares.map(lambda x: float(x[-1]))

    def of(name: str) -> LayerSummary:
        record = of_layer(seeds, name)
        alignment = record.map(lambda r: r.alignment[:, middle])
        return LayerSummary(
            name,
            ends(record.map(lambda r: r.area)),
            ends(alignment),
            chance_at(seeds.value, name, tau)[-1],
        )

    return [of(name) for name in history.layers]


def of_layer(seeds: Estimate, layer: str) -> Estimate:
    """The Estimate of a layer's Record, from that of the History."""
    return seeds.map(lambda history: history.layers[layer])


def over_models(history: History) -> Estimate:
    """An Estimate whose value, low and high are Histories of one model: medians over all models and
    their 95 % intervals, of every array by itself. Models that diverged are left out, unless all
    did. Of one model all three are its history.
    """
    if history.models is None:
        return Estimate(history, history, history, 1)
    whole = np.setdiff1d(np.arange(history.models), diverged(history)).tolist()
    kept = history.of(whole) if whole else history
    leaves, tree = jax.tree.flatten((kept.loss, kept.metrics, kept.layers))
    found = [_median(x) for x in leaves]

    def put(end: Callable[[Estimate], np.ndarray]) -> History:
        loss, metrics, layers = jax.tree.unflatten(tree, map(end, found))
        return history._replace(loss=loss, metrics=metrics, layers=layers)

    return Estimate(
        put(lambda e: e.value),
        put(lambda e: e.low),
        put(lambda e: e.high),
        len(whole) or history.models,
    )


def result_of(result: Mapping[str, Any], name: str) -> Estimate:
    """A number of result.json, or, of several models, the median of theirs and its interval."""
    held = result[name]
    return median_interval(held) if isinstance(held, list) else Estimate(held, held, held, 1)


def with_interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    """An Estimate for people: "0.59", or of several models "0.59 [0.57, 0.61]"."""
    value, low, high = map(shown, estimate[:3])
    return value if estimate.n == 1 else f"{value} [{low}, {high}]"


def diverged(history: History) -> list[int]:
    """Which of several models have a loss or an area that is not finite, somewhere."""
    watched = [history.loss, *(record.area for record in history.layers.values())]
    return np.flatnonzero(
        [not all(np.isfinite(x[:, i]).all() for x in watched) for i in range(history.models or 0)]
    ).tolist()


def _median(values: np.ndarray) -> Estimate:
    """Over the second axis; NaN where one of them is."""
    over = np.moveaxis(np.asarray(values), 1, 0)
    unknown = np.isnan(over).any(axis=0)
    found = median_interval(np.where(unknown, 0, over))
    return found.map(lambda x: np.where(unknown, np.nan, x).astype(over.dtype))


def chance_at(history: History, layer: str, tau: float) -> np.ndarray:
    """(t,) E[A(τ)]/‖y‖² of a layer for random labels, read off the recorded grid."""
    return (
        np.array([np.interp(tau, history.grid, null) for null in history.layers[layer].null])
        / history.total
    )


def model_layers(history: History) -> list[str]:
    """The layers of the model, in the order they run: all but the inputs."""
    return [name for name in history.layers if name != INPUT]


def last_layer(history: History) -> str:
    """The measured layer nearest to the output."""
    return list(history.layers)[-1]


def middle_threshold(history: History) -> int:
    """The position of the threshold that stands for all in a headline."""
    return len(history.thresholds) // 2
