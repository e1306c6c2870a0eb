"""Does alignment correlate with transfer, positive to similar tasks and negative to dissimilar
ones?

The claim is the paper's (abstract). Its synthetic problem is not named in what could be read of it;
the tasks are ours, after the two classics: Pratt's (1993) of points in a square, by a line and by a
box, and Caruana's (1997) peaks functions.

An MLP learns a source task and is frozen. A linear head then learns each target from few points, by
gradient descent on the log-loss, on the representation as the measure prepares it (rows of norm 1,
so one step size suits all). Compared are, on the same points, the trained network's layer, the raw
input and the same layer before training: alignment gain: area/(‖y‖²√n) of the target's labels on
the head's training points, trained − reference; transfer gain: speed, the mean log-loss over the
head's steps, reference − trained, and accuracy on other points afterwards.

It holds in a cell (problem × measure of transfer × reference) if, in the last hidden layer, gains
go together (permutation test of Spearman's ρ), transfer is positive at dial 0 and negative at dial
1 (paired t tests over networks): the largest of three one-sided p-values, Holm's correction over
the cells. A source task that was not learned fails its cells.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from matplotlib.figure import Figure

from jaxalign import tap
from jaxalign._features import INPUT
from jaxalign.data import Dataset, box_task, hyperplane_task, peaks_distance, peaks_task
from jaxalign.data._synthetic import VARIABLES
from jaxalign.models import MLP
from jaxalign.statistics import holm
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
from jaxalign.studies.transfer.figure import draw
from jaxalign.studies.transfer.gains import (
    MEASURES,
    Finding,
    findings,
    gains,
    rank_correlation,
    signs,
)
from jaxalign.studies.transfer.heads import Reading, read
from jaxalign.training import fit

SOURCE_POINTS, TEST_POINTS = 1_000_000, 1_000_001
"""Seeds of points; those of targets are the networks' seeds."""
SOURCE_FUNCTION = "ABC"


@dataclass(frozen=True)
class Config:
    """The design."""

    seeds: int = 20
    """Networks a problem; each also draws its own points for the targets."""
    widths: tuple[int, ...] = (64, 64, 64)
    """Of the MLP's hidden layers, with biases, ReLU."""
    steps: int = 3000
    """Of Adam at 1e-3, batches of 64, on the source task."""
    source_samples: int = 3000
    """Points of the source task."""
    target_samples: int = 200
    """Points a head is trained on, and alignment measured on."""
    test_samples: int = 4000
    """Points of which accuracy is the share."""
    head_steps: int = 200
    """Of gradient descent on the head's full batch, from 0."""
    dials: tuple[float, ...] = tuple(i / 8 for i in range(9))
    """Levels of the line and the box; the first one is 0."""
    functions: tuple[str, ...] = (
        "ABC",
        "ABD",
        "AEC",
        "DBC",
        "ACB",
        "BAC",
        "BCA",
        "ADE",
        "DBE",
        "EFC",
        "DEF",
        "EFD",
        "FDE",
    )
    """Peaks functions; the first one is the source."""
    learned: float = 0.95
    """Test accuracy on the source task that every network has to reach."""
    resamples: int = 2000
    """Bootstrap samples of an interval of ρ."""


class Target(NamedTuple):
    """A task to transfer to."""

    name: str
    dial: float
    sample: Callable[..., Dataset]


def cells(config: Config) -> list[Cell]:
    """A problem each."""
    return [{"problem": problem} for problem in ("hyperplane", "box", "peaks")]


def targets_of(config: Config, problem: str) -> list[Target]:
    """The targets of a problem, the source task first."""
    if problem == "peaks":
        distance = partial(peaks_distance, SOURCE_FUNCTION)
        return [
            Target(roles, distance(roles), partial(peaks_task, roles=roles))
            for roles in config.functions
        ]
    task = hyperplane_task if problem == "hyperplane" else box_task
    return [Target(f"{dial:g}", dial, partial(task, dial=dial)) for dial in config.dials]


def measure(config: Config, cell: Cell) -> list[Row]:
    """A row for each network, target and hidden layer."""
    targets = targets_of(config, str(cell["problem"]))
    source, source_labels = _points(targets[:1], config.source_samples, SOURCE_POINTS)
    test, test_labels = _points(targets, config.test_samples, TEST_POINTS)
    few = [_points(targets, config.target_samples, seed) for seed in range(config.seeds)]
    inputs, labels = (np.stack(parts) for parts in zip(*few, strict=True))
    networks, trained = _trained(config, source, source_labels[:, 0])

    tapped = tap(networks[0], MLP.post_activations)
    run = jax.jit(jax.vmap(tapped))
    untrained = jax.tree.map(lambda *x: jnp.stack(x), *map(nnx.state, networks))
    everywhere = jnp.broadcast_to(test, (config.seeds, *test.shape))
    value = partial(read, labels=labels, test_labels=test_labels, steps=config.head_steps)

    def of_layers(states):
        return {
            name: value(x, run(states, everywhere)[1][name])
            for name, x in run(states, inputs)[1].items()
        }

    found = {"trained": of_layers(trained), "untrained": of_layers(untrained)}
    raw = value(jnp.asarray(inputs), everywhere)
    outputs = np.asarray(run(trained, everywhere)[0])[..., 0]
    source_accuracy = ((outputs > 0) == test_labels[:, 0]).mean(axis=1)
    return [
        {
            **cell,
            "seed": i,
            "target": target.name,
            "dial": target.dial,
            "layer": layer,
            "source_accuracy": float(source_accuracy[i]),
            **_columns("trained", found["trained"][layer], i, j),
            **_columns("untrained", found["untrained"][layer], i, j),
            **_columns(INPUT, raw, i, j),
        }
        for i, (j, target), layer in itertools.product(
            range(config.seeds), enumerate(targets), found["trained"]
        )
    ]


def _trained(config: Config, inputs: np.ndarray, labels: np.ndarray) -> tuple[list[MLP], Any]:
    """The networks as they began, and the state of all of them, stacked, after the source task."""
    seeds = range(config.seeds)
    networks = [
        MLP(inputs.shape[1], config.widths, 1, bias=True, rngs=nnx.Rngs(seed)) for seed in seeds
    ]
    state, _ = fit(networks, optax.adam(1e-3), inputs, labels, steps=config.steps, seed=list(seeds))
    return networks, state.model


def _points(targets: Sequence[Target], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, p), scaled to [−1, 1], and the labels of every target, (n, k)."""
    tasks = [target.sample(n, seed=seed) for target in targets]
    return 2 * tasks[0].inputs - 1, np.stack([task.labels for task in tasks], axis=1)


def _columns(whose: str, found: Reading, i: int, j: int) -> Row:
    return {
        f"{quantity}_{whose}": float(values[i, j]) for quantity, values in found._asdict().items()
    }


def verdict(config: Config, rows: Sequence[Row]) -> Verdict:
    """Whether gains go together, and have both signs, in every problem, by either measure and over
    either reference.
    """
    found = findings(rows, config.resamples)
    corrected = holm([each.p for each in found])
    learned = {
        each.problem: min(column(where(rows, {"problem": each.problem}), "source_accuracy"))
        for each in found
    }
    failing = []
    for each, p in zip(found, corrected, strict=True):
        reasons = each.reasons(p)
        if learned[each.problem] < config.learned:
            reasons = [
                f"the source was not learned, a network has {learned[each.problem]:.1%} of it",
                *reasons,
            ]
        if reasons:
            failing.append(f"{each.name}: {'; '.join(reasons)}")
    weakest = min(found, key=lambda each: each.correlation.value)
    return Verdict(
        outcome=outcome(failing, len(found)),
        effect=weakest.correlation,
        of=f"Spearman's ρ of alignment gain and transfer gain, where it is lowest ({weakest.name})",
        failing=failing,
        cells=len(found),
        notes=_notes(found, learned, rows),
    )


def figure(config: Config, rows: Sequence[Row]) -> Figure:
    """Alignment gain against transfer gain, a panel a cell."""
    return draw(findings(rows, config.resamples), column(rows, "layer")[-1])


def _notes(
    found: Sequence[Finding], learned: Mapping[str, float], rows: Sequence[Row]
) -> list[str]:
    return [
        f"Every network has at least {min(learned.values()):.1%} of its source task.",
        *(
            _of_measure(measure, [each for each in found if each.measure == measure])
            for measure in MEASURES
        ),
        _of_layers(found, rows),
        "How fast a least-squares head trains is a function of the spectrum: for speed, part of ρ is arithmetic; for accuracy "
        "on other points it is not.",
    ]


def _of_measure(measure: str, found: Sequence[Finding]) -> str:
    share, values = signs([each.gains for each in found]), [each.within.value for each in found]
    above = sum(each.within.low > 0 for each in found)
    return (
        f"By {measure}, signs agree in {share.agree:.0%} of pairs ({share.by_chance:.0%} by chance): both positive "
        f"{share.both:.0%}, both negative {share.neither:.0%}, alignment alone {share.alignment:.0%}, transfer alone "
        f"{share.transfer:.0%}. Within a level of the dial ρ is {min(values):.2f} to {max(values):.2f}, its interval above 0 "
        f"in {above} of {len(found)} cells."
    )


def _of_layers(found: Sequence[Finding], rows: Sequence[Row]) -> str:
    told = []
    for layer in distinct(rows, "layer"):
        rho = [
            rank_correlation(gains(rows, each.problem, layer, each.reference, each.measure))
            for each in found
        ]
        told.append(f"{layer} {min(rho):.2f} to {max(rho):.2f}")
    return f"ρ over the cells by layer: {', '.join(told)}."


STUDY = Study(
    name="transfer",
    claim="In classic synthetic problems alignment correlates with positive transfer to similar tasks and negative to others.",
    source="Imani, Hu, White (TMLR 2022), abstract; the tasks are ours, after Pratt (1993) and Caruana (1997)",
    sizes={
        "small": Config(),
        "paper": Config(
            seeds=50,
            widths=(128, 128, 128),
            steps=10_000,
            source_samples=10_000,
            test_samples=10_000,
            dials=tuple(i / 16 for i in range(17)),
            functions=(
                SOURCE_FUNCTION,
                *(
                    "".join(x)
                    for x in itertools.permutations(VARIABLES, 3)
                    if "".join(x) != SOURCE_FUNCTION
                ),
            ),
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
