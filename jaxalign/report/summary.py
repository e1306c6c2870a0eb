"""A run in a few numbers: what each layer's alignment was before training, and what it became."""

from typing import NamedTuple

import numpy as np
from jax import Array

from jaxalign.representation import INPUT
from jaxalign.training.history import History


class LayerSummary(NamedTuple):
    """One layer, before and after; areas and alignments are over ‖y‖², so that alignments are shares.

    Attributes:
      layer: its name.
      area: ∫A dτ / ‖y‖², untrained and last.
      alignment: A(τ) / ‖y‖² at the headline threshold, untrained and last.
      chance: what random labels would have at that threshold, last.
    """

    layer: str
    area: tuple[float, float]
    alignment: tuple[float, float]
    chance: float


def summarize(history: History) -> list[LayerSummary]:
    """A LayerSummary for every layer, in order."""
    middle = middle_threshold(history)
    tau = history.thresholds[middle]

    def ends(values: np.ndarray | Array) -> tuple[float, float]:
        return float(values[0] / history.total), float(values[-1] / history.total)

    return [
        LayerSummary(name, ends(r.area), ends(r.alignment[:, middle]), chance_at(history, name, tau)[-1])
        for name, r in history.layers.items()
    ]


def chance_at(history: History, layer: str, tau: float) -> np.ndarray:
    """(t,) E[A(τ)]/‖y‖² of a layer for random labels, read off the recorded grid."""
    return np.array([np.interp(tau, history.grid, null) for null in history.layers[layer].null]) / history.total


def model_layers(history: History) -> list[str]:
    """The layers of the model, in the order they run: all but the inputs."""
    return [name for name in history.layers if name != INPUT]


def last_layer(history: History) -> str:
    """The measured layer nearest to the output."""
    return list(history.layers)[-1]


def middle_threshold(history: History) -> int:
    """The position of the threshold that stands for all in a headline."""
    return len(history.thresholds) // 2
