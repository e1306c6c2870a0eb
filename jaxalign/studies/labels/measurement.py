"""The measurement of the study of random labels: train on some, ask about these and others."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxalign._features import INPUT, prepare
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import isotropic_null, permutation_null
from jaxalign.capture import Tap
from jaxalign.runs import History
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.labels.design import (
    DIGITS,
    FRESH,
    OWN,
    TRUTH,
    Config,
    draw_of,
    pair_name,
    seeds_of,
)
from jaxalign.studies.shared.networks import ARCHITECTURES, architecture_named
from jaxalign.studies.shared.problems import Problem, digits_parity, fashion_pair, relabelled
from jaxalign.studies.shared.seeds import area, curve, monitor_of, states_of
from jaxalign.training import TrainState, fit

BATCH = 64
Measures = dict[str, Callable[[Spectrum], jax.Array]]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per network, layer, measured step and labels asked about.

    The labels trained on are measured at every measured step, the others before and after training.
    """
    original = _problem(config, str(cell["problem"]))
    draw = draw_of(str(cell["labels"]))
    problem = relabelled(original, draw) if draw else original
    seeds = seeds_of(config, draw)
    architecture = architecture_named(cell["architecture"], ARCHITECTURES)
    networks = [architecture.build(problem, nnx.Rngs(seed)) for seed in seeds]
    layers = architecture.tap(networks[0])
    state, history = _train(config, problem, layers, networks, seeds)
    rows = list(_of_own_labels(history, len(problem.inputs)))
    forward = jax.jit(jax.vmap(layers, in_axes=(0, None)))
    for step, states in ((0, states_of(networks)), (config.steps, state.model)):
        _, activations = forward(states, problem.inputs)
        inputs = np.repeat(problem.inputs[None], len(seeds), axis=0)
        representations = OrderedDict({INPUT: inputs})
        for layer in history.layers:
            if layer != INPUT:
                representations[layer] = activations[layer]
        rows += _of_other_labels(config, representations, original.targets, step)
    progress = _progress(config, history, len(problem.inputs))
    return [_whole(cell, row, seeds, progress) for row in rows]


def measures(tau: float) -> Measures:
    """What is measured of a spectrum: the area, A(τ), and A(τ) by chance."""
    at_threshold = curve(np.array([tau]))

    def at(spectrum: Spectrum) -> jax.Array:
        return at_threshold(spectrum)[0]

    def chance(spectrum: Spectrum) -> jax.Array:
        return at(isotropic_null(spectrum))

    return {"area": area, "at": at, "chance": chance}


def _problem(config: Config, name: str) -> Problem:
    if name == DIGITS:
        return digits_parity(config.num_samples)
    a, b = next(pair for pair in config.pairs if pair_name(*pair) == name)
    return fashion_pair(a, b, config.num_samples)


def _train(
    config: Config,
    problem: Problem,
    layers: Tap,
    networks: Sequence[nnx.Module],
    seeds: Sequence[int],
) -> tuple[TrainState, History]:
    n = len(problem.inputs)
    return fit(
        networks,
        optax.adam(config.rate),
        problem.inputs,
        problem.labels,
        steps=config.steps,
        monitor=monitor_of(layers, problem, measures(config.tau(n))),
        every=config.every,
        batch_size=min(BATCH, n),
        seed=seeds,
        objective=problem.objective,
    )


def _of_own_labels(history: History, n: int) -> Iterable[dict[str, Any]]:
    """The labels trained on, at every measured step."""
    for layer, values in history.layers.items():
        for i, step in enumerate(history.measured):
            for network in range(history.loss.shape[1]):
                yield {
                    **_place(history.layers, layer),
                    "asked": OWN,
                    "step": int(step),
                    "network": network,
                    **_shares({name: value[i, network] for name, value in values.items()}, n),
                }


def _of_other_labels(
    config: Config, representations: Mapping[str, Any], truth: np.ndarray, step: int
) -> Iterable[dict[str, Any]]:
    """The true labels, and the exact mean over all their permutations.

    Args:
      config: of the study.
      representations: {layer: (networks, n, ...)}.
      truth: (n, 1) the true labels, ±1.
      step: at which the networks were.
    """
    n = len(truth)
    of_spectrum = measures(config.tau(n))
    for layer, of_networks in representations.items():
        for network, activations in enumerate(of_networks):
            features = prepare(activations, reduce="flatten")
            spectra = {
                TRUTH: spectrum(features, truth),
                FRESH: permutation_null(features, truth),
            }
            for asked, s in spectra.items():
                yield {
                    **_place(representations, layer),
                    "asked": asked,
                    "step": step,
                    "network": network,
                    **_shares({name: value(s) for name, value in of_spectrum.items()}, n),
                }


def _shares(values: Mapping[str, Any], n: int) -> dict[str, float]:
    """Measures as shares: of labels ±1, ‖y‖² is n."""
    return {
        "area": float(values["area"]) / n**1.5,
        "at": float(values["at"]) / n,
        "chance": float(values["chance"]) / n,
    }


def _place(layers: Mapping[str, Any], layer: str) -> dict[str, Any]:
    names = list(layers)
    return {"layer": layer, "depth": names.index(layer), "last": layer == names[-1]}


def _progress(config: Config, history: History, n: int) -> dict[tuple[int, int], dict[str, float]]:
    """(step, network) → loss and accuracy over one epoch of batches from there on, or the last."""
    progress = {}
    batches = min(config.steps, max(1, n // BATCH))
    for step in map(int, history.measured):
        epoch = slice(min(step, config.steps - batches), step + batches)
        loss = history.loss[epoch].mean(axis=0)
        accuracy = history.metrics["accuracy"][epoch].mean(axis=0)
        for network in range(len(loss)):
            progress[step, network] = {
                "loss": float(loss[network]),
                "accuracy": float(accuracy[network]),
            }
    return progress


def _whole(
    cell: Cell, row: dict[str, Any], seeds: Sequence[int], progress: Mapping[tuple[int, int], Any]
) -> Row:
    """A row with the cell's factors, and with the seed in place of the network's number."""
    network = row["network"]
    values = {name: value for name, value in row.items() if name != "network"}
    return {**cell, **values, "seed": seeds[network], **progress[row["step"], network]}
