"""Whether alignment speeds up learning: gradient descent on linear heads, over many
representations.

The claim is the paper's ("alignment between top singular vectors and targets can speed up
learning"); what is done here is ours, since its experiment could not be read. Representations are
the layers of networks of several families, untrained and trained, and the inputs. On each, prepared
as for the measure, full batches descend ½‖Φw − y‖² from w = 0, and the steps are counted until the
loss is a given share of ‖y‖².

Three things are asked. (1) Does descent do what `predicted_convergence` says, and does the bound
that knows A(τ) alone hold at every step and τ? This is algebra, so it must hold to rounding. (2)
Given that the whole spectrum decides, does the one number, the area under the curve, order the
representations that networks have? Spearman's ρ of area and steps should be below 0. Layers of one
network are not independent: over all cells the interval comes from drawing whole networks, in a
cell it is that of the mean of its networks' own ρ. (3) Is it the targets, or would the singular
values do? The null: the area with the same labels permuted, which knows the singular values only.

The step size is 1/σ_1², the largest that is safe for each representation, so steps depend on
σ_i/σ_1, and one with a small σ_1 gets larger steps: a confounder. Hence everything again with one
step size for all, 1/n, safe since rows are normalised (σ_1² ≤ n). Steps past the horizon are not
known: they are tied for the last rank, which is all a rank correlation needs.

It would fail if ρ's interval reached 0, over all or in a cell, or if one prediction missed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from jaxalign._features import INPUT, prepare
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.capture import tap
from jaxalign.statistics import Estimate
from jaxalign.studies.framework.study import Cell, Outcome, Row, Study, Verdict, column, where
from jaxalign.studies.shared.networks import ARCHITECTURES, Architecture, architecture_named
from jaxalign.studies.shared.problems import Problem, diabetes, digits_parity, fashion_pair
from jaxalign.studies.speed.descent import compared, spectrum64
from jaxalign.studies.speed.figure import figure
from jaxalign.studies.speed.table import (
    NO_NETWORK,
    PERMUTED,
    TRUE,
    association,
    cells_of,
    within_networks,
)
from jaxalign.training import fit

PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "Fashion-MNIST": lambda n: fashion_pair(2, 4, n),
    "digits": digits_parity,
    "diabetes": lambda n: diabetes(),
}
ALLOWED_ERROR = 1e-6
LEVEL = 0.05
THRESHOLDS = 64
"""τ at which the bound is checked."""


@dataclass(frozen=True)
class Config:
    """How much of everything."""

    architectures: tuple[str, ...] = ("linear MLP", "ReLU MLP", "CNN", "transformer")
    """Families of networks; those of images leave out the diabetes set."""
    large_images: bool = False
    """Whether those of images also learn Fashion-MNIST, and not the 8×8 digits alone: five CNNs at
    once take a CPU minutes.
    """
    seeds: int = 5
    """Networks a cell."""
    samples: int = 300
    """Of the classification problems; networks and heads learn from all."""
    training: int = 200
    """Updates of a network, by Adam at 1e-3 in batches of 64."""
    horizon: int = 1000
    """Steps of descent on a head."""
    share: float = 0.5
    """The loss to be reached, over ‖y‖²."""
    far: float = 0.25
    """A loss that takes longer, for which smaller singular values count."""
    threshold: float = 0.15
    """τ/√n of A(τ): that of the demo's τ = 5 at n = 1000."""
    resamples: int = 2000
    """Bootstrap samples of the interval of ρ over all cells."""


def cells(config: Config) -> list[Cell]:
    """Every problem with every family that takes its inputs."""
    chosen = [a for a in ARCHITECTURES if a.name in config.architectures]
    pictures = ("digits", "Fashion-MNIST") if config.large_images else ("digits",)

    def takes(a, problem):
        return not a.images or problem in pictures

    return [{"problem": p, "architecture": a.name} for p in PROBLEMS for a in chosen if takes(a, p)]


def measure(config: Config, cell: Cell) -> list[Row]:
    """A row a representation × labels; those of the inputs have the network −1."""
    problem = PROBLEMS[str(cell["problem"])](config.samples)
    architecture = architecture_named(cell["architecture"], ARCHITECTURES)
    rows: list[Row] = []
    for where_from, activations in _representations(config, problem, architecture):
        shuffled = problem.targets[
            np.random.default_rng(max(where_from.network, 0)).permutation(len(problem.targets))
        ]
        both = _head(
            config, np.asarray(prepare(activations)), np.hstack([problem.targets, shuffled])
        )
        rows += [
            {**cell, **where_from._asdict(), "labels": name, **row}
            for name, row in zip((TRUE, PERMUTED), both, strict=True)
        ]
    return rows


class Origin(NamedTuple):
    """Where a representation comes from."""

    network: int
    state: str
    layer: str


def _representations(
    config: Config, problem: Problem, architecture: Architecture
) -> Iterator[tuple[Origin, Array]]:
    yield Origin(NO_NETWORK, INPUT, INPUT), jnp.asarray(problem.inputs)
    networks = [architecture.build(problem, nnx.Rngs(seed)) for seed in range(config.seeds)]
    learned, _ = fit(
        networks,
        optax.adam(1e-3),
        problem.inputs,
        problem.labels,
        steps=config.training,
        batch_size=min(64, len(problem.inputs)),
        seed=range(config.seeds),
        objective=problem.objective,
    )
    tapped = tap(networks[0], networks[0].post_activations)
    activations = jax.jit(lambda state: tapped(state, problem.inputs)[1])
    for i, network in enumerate(networks):
        trained = jax.tree.map(lambda x, i=i: x[i], learned.model)
        for name, state in (("untrained", nnx.state(network)), ("trained", trained)):
            for layer, found in activations(state).items():
                yield Origin(i, name, layer), found


def _head(config: Config, features: np.ndarray, targets: np.ndarray) -> list[Row]:
    """What is measured of a head on Φ, for each of the targets."""
    n, found = len(features), spectrum64(features, targets)
    top, inside = found.singular_values[0], found.energy.sum(axis=0) / found.total
    with jax.enable_x64(True):
        area = np.asarray(alignment_area(found)) / found.total / n**0.5
        aligned = np.asarray(alignment_curve(found, config.threshold * n**0.5)) / found.total
    rates = (1 / float(top) ** 2, 1 / n)
    own, common = (
        compared(features, targets, found, eta, config.horizon, THRESHOLDS) for eta in rates
    )
    return [
        {
            "d": features.shape[1],
            "largest": float(top / n**0.5),
            "area": float(area[j]),
            "alignment": float(aligned[j]),
            "inside": float(inside[j]),
            "steps": _steps_to(config.share, own.loss[:, j]),
            "reached": bool(own.loss[-1, j] <= config.share),
            "steps_far": _steps_to(config.far, own.loss[:, j]),
            "reached_far": bool(own.loss[-1, j] <= config.far),
            "promised": _steps_to(config.share, own.bound[:, j]),
            "steps_common": _steps_to(config.share, common.loss[:, j]),
            "reached_common": bool(common.loss[-1, j] <= config.share),
            "error": float(max(own.error[j], common.error[j])),
            "violations": int(own.violations[j] + common.violations[j]),
        }
        for j in range(targets.shape[1])
    ]


def _steps_to(share: float, loss: np.ndarray) -> int:
    """The first step at which a loss is that small; one past the horizon where none is."""
    return int(np.searchsorted(-loss, -share))  # it falls


def verdict(config: Config, rows: Sequence[Row]) -> Verdict:
    """Holds when ρ lies below 0, over all and in every cell (at 95 % for all of them together), and
    nothing was missed.
    """
    true = where(rows, {"labels": TRUE})
    design = cells_of(rows)
    together = 1 - LEVEL / len(design)
    failing = [
        named for cell in design if (named := _shortcoming(where(true, cell), cell, together))
    ]
    missed = max(column(rows, "error")) > ALLOWED_ERROR or sum(column(rows, "violations")) > 0
    effect = association(true, resamples=config.resamples)
    if effect is None or effect.high >= 0 or missed or len(failing) == len(design):
        outcome: Outcome = "does not hold"
    else:
        outcome = "holds in part" if failing else "holds"
    shown = Estimate(0.0, -1.0, 1.0, len(true)) if effect is None else effect
    return Verdict(
        outcome, shown, "Spearman's ρ of area and steps", failing, len(design), _notes(config, rows)
    )


def _shortcoming(rows: Sequence[Row], cell: Cell, confidence: float) -> str | None:
    rho = within_networks(rows, confidence=confidence)
    reached = f"{sum(column(rows, 'reached'))} of {len(rows)} descents get that far"
    return (
        None
        if rho.high < 0
        else f"{cell['architecture']} on {cell['problem']}: ρ = {_told(rho)}; {reached}"
    )


def _notes(config: Config, rows: Sequence[Row]) -> list[str]:
    true, permuted = (where(rows, {"labels": name}) for name in (TRUE, PERMUTED))
    error, violations = max(column(rows, "error")), sum(column(rows, "violations"))
    checks = len(rows) * 2 * (config.horizon + 1) * THRESHOLDS

    def rho(*args, **more):
        return _told(association(*args, **more, resamples=config.resamples))

    relative = [
        {**row, "relative": area / top}
        for row, area, top in zip(true, *_columns(true, "area", "largest"), strict=True)
    ]
    steps, promised, reached = _columns(true, "steps", "promised", "reached")
    seen = (reached > 0) & (promised <= config.horizon)
    times = np.median(promised[seen] / steps[seen]) if seen.any() else np.nan

    def share(chosen, name="reached"):
        return f"{np.mean(column(chosen, name)):.0%}"

    return [
        f"Loss predicted and loss of real descent differ by {error:.1e} of ‖y‖² at most (allowed: {ALLOWED_ERROR:g}); "
        f"the bound was exceeded {violations} times in {checks:,} pairs of step and τ.",
        f"The null, area with permuted labels against the same steps: ρ = {rho(true, other=permuted)}.",
        f"With one step size 1/n for all in place of 1/σ_1²: ρ = {rho(true, steps='steps_common')}.",
        f"With A(τ) at τ = {config.threshold:g}√n in place of the area: ρ = {rho(true, 'alignment')}; with area "
        f"over σ_1‖y‖², in the scale of the step size: {rho(relative, 'relative')}.",
        f"To {config.far:g}‖y‖², which {share(true, 'reached_far')} reach: ρ = {rho(true, steps='steps_far')}.",
        f"{share(true)} of descents reach {config.share:g}‖y‖² within {config.horizon} steps with the true labels, "
        f"{share(permuted)} with permuted ones; the others share the last rank.",
        f"The bound, which knows A(τ) and σ_1 alone, promises it within the horizon to {seen.sum()} of the "
        f"{reached.sum():.0f} that reach it, at {times:.3g} times the steps it takes (median).",
    ]


def _columns(rows: Sequence[Row], *names: str) -> list[np.ndarray]:
    return [np.array(column(rows, name), float) for name in names]


def _told(rho: Estimate | None) -> str:
    return "not defined" if rho is None else f"{rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]"


STUDY = Study(
    "speed",
    "Alignment between top singular vectors and targets speeds up learning: descent on a linear head takes fewer steps.",
    "Imani, Hu, White (TMLR 2022), page 1; experiment, bound and exact prediction are ours.",
    {
        "small": Config(),
        "paper": Config(
            tuple(a.name for a in ARCHITECTURES),
            True,
            seeds=20,
            samples=1000,
            training=2000,
            horizon=10_000,
        ),
    },
    cells,
    measure,
    verdict,
    figure,
)
