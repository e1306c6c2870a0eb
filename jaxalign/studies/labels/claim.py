"""Alignment also emerges with random labels: networks that can only memorize align their last
layers with what they memorize.

That alignment emerges on random labels too is said in the abstract of the paper's first version.
The data, the networks and what it is compared with are ours. The same images get their true labels,
or a permutation of them. Of the labels that a network was trained on, its last hidden layer is
compared with itself before training, on the same labels, and with itself after training on
permutations it never saw: on the exact mean of all n! of them. The column "chance" is the closed
form for labels in random directions, E[A(τ)] = ‖y‖²·#{σ_i ≥ τ}/n.

It fails where the area of trained networks is not above both, after Holm's correction. How far
random labels were fitted, and how many steps they took beside true ones, is told, and decides
nothing.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxalign._features import INPUT, prepare
from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign.alignment import alignment_area, alignment_curve, permutation_null, random_label_curve
from jaxalign.capture import Tap
from jaxalign.data._fashion_mnist import CLASSES
from jaxalign.monitoring import monitor
from jaxalign.runs import History
from jaxalign.statistics import holm, mean_interval, paired_effect
from jaxalign.studies.framework.study import (
    Cell,
    Row,
    Study,
    Verdict,
    column,
    distinct,
    outcome,
    where,
)
from jaxalign.studies.labels.figure import figure
from jaxalign.studies.shared.networks import ARCHITECTURES, architecture_named
from jaxalign.studies.shared.problems import Problem, digits_parity, fashion_pair
from jaxalign.studies.shared.seeds import states_of
from jaxalign.training import TrainState, fit

TRUE, RANDOM = "true", "random"
OWN, FRESH, TRUTH = "trained on", "never trained on", "true"  # the labels asked about
DIGITS = "even or odd digit"
KIND = ("problem", "architecture")
BATCH = 64


@dataclass(frozen=True)
class LabelsConfig:
    """What is trained on which labels."""

    pairs: tuple[tuple[int, int], ...] = ((2, 4), (0, 6))
    """Of Fashion-MNIST's classes 0...9."""
    on_pairs: tuple[str, ...] = ("ReLU MLP",)
    """What is trained on these, of ``networks.ARCHITECTURES``."""
    on_digits: tuple[str, ...] = ("ReLU MLP", "CNN")
    """What is trained on even against odd digits, which are small: on two cores a CNN takes minutes
    for larger images.
    """
    samples: int = 256
    """Of each problem."""
    draws: int = 2
    """Permutations of the labels to train on."""
    seeds: int = 5
    """Networks for the true labels, and for each permutation; no two have the same initial weights.
    """
    steps: int = 450
    """Of Adam, batches of 64."""
    every: int = 15
    """Steps between measurements."""
    rate: float = 2e-3
    """Learning rate."""
    threshold: float = 0.15
    """τ of the columns "at" and "chance", in units of √n."""
    fitted: float = 0.35
    """Training loss in nats that is counted as fitted: half of what guessing costs."""
    level: float = 0.05
    """Of all tests together."""


def cells(config: LabelsConfig) -> list[Cell]:
    """An architecture on a problem with true labels, or with one permutation of them."""
    labels = [TRUE, *(f"{RANDOM} {draw + 1}" for draw in range(config.draws))]
    asked = [(_fashion(a, b), name) for a, b in config.pairs for name in config.on_pairs]
    asked += [(DIGITS, name) for name in config.on_digits]
    return [
        {"problem": problem, "architecture": name, "labels": of}
        for problem, name in asked
        for of in labels
    ]


def measure(config: LabelsConfig, cell: Cell) -> list[Row]:
    """A row for each network and layer: of the labels trained on at every measured step, of others
    before and after.
    """
    original, draw = _problem(config, str(cell["problem"])), _draw(str(cell["labels"]))
    problem = original if draw == 0 else _relabelled(original, draw)
    seeds = range(draw * config.seeds, (draw + 1) * config.seeds)
    architecture = architecture_named(cell["architecture"], ARCHITECTURES)
    networks = [architecture.build(problem, nnx.Rngs(seed)) for seed in seeds]
    tapped = architecture.tap(networks[0])
    state, history = _train(config, problem, tapped, networks, seeds)
    before = states_of(networks)
    forward = jax.jit(jax.vmap(tapped, in_axes=(0, None)))
    rows = _on_the_way(history)
    for step, states in ((0, before), (config.steps, state.model)):
        _, activations = forward(states, problem.inputs)
        values = OrderedDict({INPUT: np.repeat(problem.inputs[None], len(seeds), axis=0)})
        values.update((layer, activations[layer]) for layer in history.layers if layer != INPUT)
        rows += _of_others(config, values, original.targets, step)
    progress = _progress(config, history)
    whole = [
        {**cell, **row, "seed": seeds[row["network"]], **progress[row["step"], row["network"]]}
        for row in rows
    ]
    return [{name: value for name, value in row.items() if name != "network"} for row in whole]


def verdict(config: LabelsConfig, rows: Sequence[Row]) -> Verdict:
    """Holds if on every problem and architecture random labels are aligned beyond both comparisons."""
    random = [row for row in rows if row["last"] and row["labels"] != TRUE]
    after = where(random, {"step": config.steps})
    compared = {
        "untrained": where(random, {"step": 0, "asked": OWN}),
        "labels never trained on": where(after, {"asked": FRESH}),
    }
    effects = {
        (*kind, name): paired_effect(
            column(where(after, {"asked": OWN, **_kind(kind)}), "area"), _areas(held, kind)
        )
        for kind in distinct(random, *KIND)
        for name, held in compared.items()
    }
    above = [
        effect.p / 2 if effect.difference.value > 0 else 1 - effect.p / 2
        for effect in effects.values()
    ]
    adjusted = zip(effects, holm(above).tolist(), strict=True)
    failing = [
        f"{network} on {problem!r}: not above {name}"
        for (problem, network, name), p in adjusted
        if p > config.level
    ]
    gain = np.subtract(
        column(where(after, {"asked": OWN}), "area"), column(compared["untrained"], "area")
    )
    of = "area over ‖y‖²√n of the random labels trained on, last hidden layer, trained − untrained"
    return Verdict(
        outcome(failing, len(effects)),
        mean_interval(gain),
        of,
        failing,
        len(effects),
        _notes(config, rows),
    )


def _kind(kind: tuple[str, str]) -> Cell:
    return dict(zip(KIND, kind, strict=True))


def _areas(rows: Sequence[Row], kind: tuple[str, str]) -> list[float]:
    return column(where(rows, _kind(kind)), "area")


def _notes(config: LabelsConfig, rows: Sequence[Row]) -> list[str]:
    last = [row for row in rows if row["last"]]
    own: dict[bool, list[Any]] = {True: [], False: []}
    for row in where(last, {"asked": OWN}):
        own[row["labels"] == TRUE].append(row)
    end = {true: where(held, {"step": config.steps}) for true, held in own.items()}
    fitted = column(end[False], "accuracy")
    truth: list[Any] = where(last, {"asked": TRUTH, "step": config.steps})
    gains = {
        true: np.mean(column(end[true], "area"))
        - np.mean(column(where(own[true], {"step": 0}), "area"))
        for true in end
    }
    held = np.mean([row["area"] for row in truth if row["labels"] != TRUE])
    fresh: list[Any] = where(last, {"asked": FRESH, "step": config.steps})
    return [
        f"random labels were fitted to an accuracy of {np.mean(fitted):.3f} on average, {min(fitted):.3f} at least",
        f"the gain is {gains[False]:.3f} for random and {gains[True]:.3f} for true labels",
        f"in networks trained on random labels, the true ones have {held:.3f}, random ones never trained on "
        f"{np.mean([row['area'] for row in fresh if row['labels'] != TRUE]):.3f}",
        *(
            _speed(config, where(last, {"asked": OWN, **_kind(kind)}), kind)
            for kind in distinct(rows, *KIND)
        ),
        f"networks are the unit; {config.seeds} share each permutation of the labels",
    ]


def _speed(config: LabelsConfig, rows: Sequence[Row], kind: tuple[str, str]) -> str:
    """How many steps random labels took, beside true ones."""
    true = [row for row in rows if row["labels"] == TRUE]
    random = [row for row in rows if row["labels"] != TRUE]

    def fitted(row):
        return row["loss"] <= config.fitted

    def aligned(row):
        return row["at"] >= 0.5

    def shown(held, reached):
        return _median_steps(first_steps(held, reached), config.steps)

    return (
        f"{kind[1]} on {kind[0]!r}, median steps of true and random labels to a loss of {config.fitted:g}: "
        f"{shown(true, fitted)}, {shown(random, fitted)}; to half of ‖y‖² above τ = {config.threshold:g}√n: "
        f"{shown(true, aligned)}, {shown(random, aligned)}"
    )


def first_steps(rows: Sequence[Row], reached: Callable[[Any], bool]) -> list[float]:
    """Of every network the first measured step at which it was so, infinity where it never was."""
    networks: dict[tuple, list[float]] = {}
    for row in rows:
        steps = networks.setdefault((row["labels"], row["seed"]), [math.inf])
        if reached(row):
            steps.append(float(row["step"]))
    return [min(steps) for steps in networks.values()]


def _median_steps(steps: Sequence[float], most: int) -> str:
    median = np.median(steps)
    return f"{median:.0f}" if median <= most else f"more than {most}"


def _problem(config: LabelsConfig, name: str) -> Problem:
    if name == DIGITS:
        return digits_parity(config.samples)
    return next(
        fashion_pair(a, b, config.samples) for a, b in config.pairs if name == _fashion(a, b)
    )


def _fashion(a: int, b: int) -> str:
    return f"{CLASSES[a]} or {CLASSES[b]}"


def _draw(labels: str) -> int:
    return 0 if labels == TRUE else int(labels.removeprefix(RANDOM))


def _relabelled(problem: Problem, draw: int) -> Problem:
    order = np.random.default_rng(draw).permutation(len(problem.labels))
    return problem._replace(labels=problem.labels[order], targets=problem.targets[order])


def _train(
    config: LabelsConfig,
    problem: Problem,
    tapped: Tap,
    networks: Sequence[nnx.Module],
    seeds: Sequence[int],
) -> tuple[TrainState, History]:
    n = len(problem.inputs)
    tau = _tau(config, n)
    return fit(
        networks,
        optax.adam(config.rate),
        problem.inputs,
        problem.labels,
        steps=config.steps,
        monitor=monitor(tapped, problem.inputs, problem.targets, thresholds=tau, grid=tau),
        every=config.every,
        batch_size=min(BATCH, n),
        seed=seeds,
        objective=problem.objective,
    )


def _tau(config: LabelsConfig, n: int) -> np.ndarray:
    return np.array([config.threshold * math.sqrt(n)], np.float32)


def _on_the_way(history: History) -> list[dict[str, Any]]:
    """The labels trained on, at every measured step."""
    n = round(history.total)  # ‖y‖² of labels ±1
    return [
        {
            **_where(history.layers, layer),
            "asked": OWN,
            "step": int(step),
            "network": network,
            "area": float(record.area[i, network]) / n**1.5,
            "at": float(record.alignment[i, network, 0]) / n,
            "chance": float(record.null[i, network, 0]) / n,
        }
        for layer, record in history.layers.items()
        for i, step in enumerate(history.measured)
        for network in range(history.loss.shape[1])
    ]


def _of_others(
    config: LabelsConfig, values: Mapping[str, Any], truth: np.ndarray, step: int
) -> list[dict[str, Any]]:
    """The true labels, and the exact mean of all their permutations, from {layer: (networks, n,
    ...)}.
    """
    n, rows = len(truth), []
    for layer, of_networks in values.items():
        for network, value in enumerate(of_networks):
            phi = prepare(value)
            for asked, found in (
                (TRUTH, spectrum(phi, truth)),
                (FRESH, permutation_null(phi, truth)),
            ):
                shares = _shares(found, _tau(config, n), n)
                rows.append(
                    {
                        **_where(values, layer),
                        "asked": asked,
                        "step": step,
                        "network": network,
                        **shares,
                    }
                )
    return rows


def _shares(found: Spectrum, tau: np.ndarray, n: int) -> dict[str, float]:
    area, at, chance = (
        alignment_area(found),
        alignment_curve(found, tau),
        random_label_curve(found, tau, n),
    )
    return {
        "area": float(area[0]) / n**1.5,
        "at": float(at[0, 0]) / n,
        "chance": float(chance[0, 0]) / n,
    }


def _where(layers: Mapping[str, Any], layer: str) -> dict[str, Any]:
    names = list(layers)
    return {"layer": layer, "depth": names.index(layer), "last": layer == names[-1]}


def _progress(config: LabelsConfig, history: History) -> dict[tuple[int, int], dict[str, float]]:
    """(step, network) → loss and accuracy on an epoch of batches from there on, or on the last one."""
    found, batches = {}, min(config.steps, max(1, round(history.total) // BATCH))
    for step in map(int, history.measured):
        epoch = slice(min(step, config.steps - batches), step + batches)
        loss, accuracy = (
            history.loss[epoch].mean(axis=0),
            history.metrics["accuracy"][epoch].mean(axis=0),
        )
        for network in range(len(loss)):
            found[step, network] = {
                "loss": float(loss[network]),
                "accuracy": float(accuracy[network]),
            }
    return found


STUDY = Study(
    name="labels",
    claim="Training on random labels aligns the last hidden layer with them.",
    source="the abstract of the paper's first version; data, networks and comparisons are ours",
    sizes={
        "small": LabelsConfig(),
        "paper": LabelsConfig(
            pairs=((0, 6), (2, 4), (1, 3), (5, 7), (8, 9)),
            on_pairs=("ReLU MLP", "tanh MLP", "CNN", "ResNet", "transformer"),
            on_digits=("ReLU MLP", "tanh MLP", "CNN", "ResNet", "transformer"),
            samples=1000,
            draws=5,
            seeds=10,
            steps=6000,
            every=100,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
