"""Existing deep networks are highly aligned: pretrained on ImageNet, asked about tasks they were
never trained on.

The claim that existing high-performance deep CNNs show high alignment is the paper's. What "high"
is compared with, and the data, are ours: the same network untrained, the pixels, and handcrafted
features (HOG). The networks are those with published weights that can be installed; the tasks are
pairs of Fashion-MNIST that share no image, and even against odd digits. A sentence encoder on
two-class texts is the row for language, where it is installed.

Maps are averaged over positions, as the networks' own heads do; the last such layer decides. That
of an untrained network is a straw man: its averages are nearly one direction. So every layer of it
has to be beaten, and its last one unpooled, with all positions as features. All layers have unit
rows and the same n, so areas over ‖y‖²√n compare between widths. A(0⁺) does not: any features of
rank n have the value ‖y‖² there, whatever they are. The area weighs every share of y with its σ/√n;
what it is by chance, Σσ/(n√n), still grows with the number of directions, so permuted labels are
told beside it.

It fails where the last layer is not above each of these, of every seed, or not above permuted
labels, after Holm's correction.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxalign._features import prepare
from jaxalign._spectrum.batched import spectra
from jaxalign._spectrum.spectrum import spectrum
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.data._fashion_mnist import CLASSES
from jaxalign.models._sentences import INSTALL, PACKAGE
from jaxalign.models.weights._pretrained import published_file
from jaxalign.statistics import Estimate, holm, jackknife, mean_interval
from jaxalign.studies.framework.study import (
    Cell,
    Row,
    Study,
    Value,
    Verdict,
    column,
    distinct,
    outcome,
    where,
)
from jaxalign.studies.pretrained.figure import figure
from jaxalign.studies.pretrained.published import TEXTS, UNPOOLED, features, network, untrained
from jaxalign.studies.pretrained.tasks import GROUPS, Task, digits_task, fashion_task, summary_task

PUBLISHED, UNTRAINED, PERMUTED = "published", "untrained", "permuted labels"
PAIR = ("network", "task")
ANY_LAYER = "untrained, any layer"
ALL_PAIRS = ((0, 6), (2, 4), (1, 3), (5, 7), (8, 9))


@dataclass(frozen=True)
class PretrainedConfig:
    """What the study asks of which networks."""

    networks: tuple[str, ...] = ("efficientnet-lite0", "squeezenet1.1")
    """Those for images, of the extra "pretrained"."""
    pairs: tuple[tuple[int, int], ...] = ((0, 6), (2, 4), (5, 7))
    """Of Fashion-MNIST's classes 0...9, each in one pair, so that no two tasks share an image."""
    texts: tuple[tuple[str, str], ...] = (("stats", "special"), ("signal", "linalg"))
    """Parts of scipy whose documentation is told apart, if the sentence encoder is installed."""
    samples: int = 100
    """Of each task at most, in multiples of 20."""
    seeds: int = 3
    """Untrained networks."""
    permutations: int = 999
    """Of the labels."""
    threshold: float = 0.15
    """τ of the column "at", in units of √n."""
    level: float = 0.05
    """Of all tests of a kind together."""


class Layer(NamedTuple):
    """One representation of a task's samples: its names in the table, its width d, and Φ in its own
    span.
    """

    representation: str
    seed: int
    layer: str
    depth: int
    decides: bool
    width: int
    phi: np.ndarray


def cells(config: PretrainedConfig) -> list[Cell]:
    """A network on a task; networks follow one another, so each is loaded once."""
    asked = [(name, task) for name in config.networks for task in _image_tasks(config)]
    asked += [(TEXTS, task) for task in _text_tasks(config) if _has_texts()]
    return [{"network": name, "task": task} for name, task in asked]


def measure(config: PretrainedConfig, cell: Cell) -> list[Row]:
    """A row for every layer, published and untrained, and for the representations without a
    network.

    Raises:
      ModuleNotFoundError: weights of any of the networks are missing; the message says what to
        type.
    """
    for name in config.networks:
        published_file(name)
    task = {**_image_tasks(config), **_text_tasks(config)}[str(cell["task"])](config.samples)
    layers = list(_layers(str(cell["network"]), task, config.seeds))
    areas = [_areas(layer.phi, task.targets) for layer in layers]
    permuted = _permuted(task.targets, config.permutations)
    best = next(
        area
        for layer, area in zip(layers, areas, strict=True)
        if layer.decides and layer.representation == PUBLISHED
    )
    return [
        {
            **cell,
            **_named(layer),
            **_values(config, layer.phi, task.targets, permuted),
            **_intervals(area, best),
        }
        for layer, area in zip(layers, areas, strict=True)
    ]


def verdict(config: PretrainedConfig, rows: Sequence[Row]) -> Verdict:
    """Holds if the last layer is above every reference on every task. The networks for images
    decide; texts are a note.
    """
    deciding: list[Any] = [
        row for row in rows if row["decides"] or row["representation"] == UNTRAINED
    ]
    images = [row for row in deciding if row["network"] != TEXTS]
    adjusted = _adjusted(images)
    failing = [
        f"{net} on {task!r}: not above {what}"
        for (net, task, what), p in adjusted.items()
        if p > config.level
    ]
    of = "area over ‖y‖²√n, last layer − the best of untrained, raw and handcrafted, mean over networks"
    notes = [*_notes(rows, images), _of_texts(config, where(deciding, {"network": TEXTS}))]
    return Verdict(
        outcome(failing, len(adjusted)), _margin(images), of, failing, len(adjusted), notes
    )


def _adjusted(deciding: Sequence[Any]) -> dict[tuple[str, str, str], float]:
    """(network, task, reference) → the p-value of being above it, corrected among references, and
    among permuted labels.
    """
    pairs = distinct(deciding, *PAIR)
    leads = {
        key: p
        for net, task in pairs
        for key, p in _leads(net, task, where(deciding, _of_pair((net, task))))
    }
    published: list[Any] = where(deciding, {"representation": PUBLISHED})
    nulls = {(row["network"], row["task"], PERMUTED): row["p_null"] for row in published}
    return {**_holm(leads), **_holm(nulls)}


def _of_pair(pair: tuple[str, str]) -> Cell:
    return dict(zip(PAIR, pair, strict=True))


def _image_tasks(config: PretrainedConfig) -> dict[str, Callable[[int], Task]]:
    pairs = {f"{CLASSES[a]} or {CLASSES[b]}": partial(fashion_task, a, b) for a, b in config.pairs}
    return {**pairs, "even or odd digit": digits_task}


def _text_tasks(config: PretrainedConfig) -> dict[str, Callable[[int], Task]]:
    return {f"scipy.{a} or .{b}": partial(summary_task, a, b) for a, b in config.texts}


def _has_texts() -> bool:
    try:
        return bool(metadata.distribution(PACKAGE))
    except metadata.PackageNotFoundError:
        return False


def _layers(name: str, task: Task, seeds: int) -> Iterator[Layer]:
    for reference, values in task.references.items():
        yield _layer(reference, 0, reference, 0, True, np.asarray(prepare(values)))
    found = network(name)
    inputs = found.inputs(task.samples)
    states = [(PUBLISHED, 0, lambda: found.weights)]
    states += [(UNTRAINED, seed, partial(untrained, found, seed, inputs)) for seed in range(seeds)]
    for representation, seed, state in states:
        by_layer = features(found, state(), inputs)
        unpooled = by_layer.pop(UNPOOLED, None)
        for depth, (layer, phi) in enumerate(by_layer.items(), start=1):
            yield _layer(representation, seed, layer, depth, depth == len(by_layer), phi)
        if unpooled is not None:
            yield _layer(
                f"{representation}, {UNPOOLED}",
                seed,
                layer,
                0,
                representation == UNTRAINED,
                unpooled,
            )


def _layer(
    representation: str, seed: int, layer: str, depth: int, decides: bool, phi: np.ndarray
) -> Layer:
    return Layer(representation, seed, layer, depth, decides, phi.shape[1], in_own_span(phi))


def in_own_span(phi: np.ndarray) -> np.ndarray:
    """Φ (n, d) itself, or, of d > n, (n, n) with the same products of rows: the same spectra, of
    any choice of them.
    """
    return phi if phi.shape[1] <= len(phi) else np.linalg.qr(phi.T, mode="r").T  # type: ignore[attr-defined]  # of this mode, an array


def _named(layer: Layer) -> dict[str, Value]:
    names: dict[str, Value] = {
        name: value for name, value in layer._asdict().items() if name != "phi"
    }
    return {**names, "n": len(layer.phi)}


def _areas(phi: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(1 + g,) the area over ‖y‖²√n of all samples, and without each group."""
    n = len(phi)
    group = np.empty(n, np.int64)
    group[np.argsort(targets[:, 0], kind="stable")] = np.arange(n) % GROUPS
    kept = np.stack([np.flatnonzero(group != g) for g in range(GROUPS)])
    whole = alignment_area(spectrum(phi, targets))
    without = alignment_area(spectra(jnp.asarray(phi[kept]), targets[kept]))
    return np.append(whole / n**1.5, without[:, 0] / kept.shape[1] ** 1.5).astype(np.float64)


def _permuted(targets: np.ndarray, count: int) -> np.ndarray:
    """(n, count) permutations of the labels."""
    draw = np.random.default_rng(0)
    return draw.permuted(np.repeat(targets, count, axis=1), axis=0)


def _values(
    config: PretrainedConfig, phi: np.ndarray, targets: np.ndarray, permuted: np.ndarray
) -> dict[str, Value]:
    """A(τ)/‖y‖², and the area beside those of permuted labels."""
    n = len(phi)
    found = spectrum(phi, np.concatenate([targets, permuted], axis=1))
    area, *null = np.asarray(alignment_area(found), np.float64) / n**1.5
    at = float(alignment_curve(found, config.threshold * math.sqrt(n))[0]) / n
    p = (1 + np.count_nonzero(np.array(null) >= area)) / (1 + len(null))
    return {
        "at": at,
        "kernel_alignment": _kernel_alignment(phi, targets),
        "null": float(np.mean(null)),
        "null_95": float(np.quantile(null, 0.95)),
        "p_null": p,
    }


def _kernel_alignment(phi: np.ndarray, targets: np.ndarray) -> float:
    """Σσ_i²(u_iᵀy)² / (‖y‖²·√Σσ_i⁴) of centred Φ and y: blind to the mean of all rows, and to
    scale.
    """
    found = spectrum(phi, targets, centered=True)
    squares = np.asarray(found.singular_values, np.float64) ** 2
    return float(
        squares @ np.asarray(found.energy[:, 0]) / found.total[0] / np.linalg.norm(squares)
    )


def _intervals(areas: np.ndarray, best: np.ndarray) -> dict[str, Value]:
    """The area, and how far the network's last layer is above it, each with interval."""
    own, lead = (
        jackknife(areas[0], areas[1:]).estimate,
        jackknife(best[0] - areas[0], (best - areas)[1:]),
    )
    above = lead.estimate
    values = {"area": own.value, "low": own.low, "high": own.high, "lead": above.value}
    return {**values, "lead_low": above.low, "lead_high": above.high, "p_lead": lead.p}


def _leads(
    net: str, task: str, deciding: Sequence[Row]
) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Of each reference, the p-value of the last layer being above it; of several seeds or layers
    the largest: above all.
    """
    last: list[Any] = where(deciding, {"decides": True})
    for reference in distinct(last, "representation"):
        if reference != PUBLISHED:
            yield (
                (net, task, reference),
                max(column(where(last, {"representation": reference}), "p_lead")),
            )
    yield (
        (net, task, ANY_LAYER),
        max(column(where(deciding, {"representation": UNTRAINED}), "p_lead")),
    )


def _holm(p: Mapping[tuple[str, str, str], float]) -> dict[tuple[str, str, str], float]:
    return dict(zip(p, holm(list(p.values())).tolist(), strict=True))


def _margin(deciding: Sequence[Row]) -> Estimate:
    """The lead over the best reference: per task the mean over networks, then over tasks, which
    share no samples.
    """
    least: dict[str, dict[str, float]] = {}
    for row in deciding:
        if row["representation"] != PUBLISHED:
            of_task = least.setdefault(str(row["task"]), {})
            of_task[str(row["network"])] = min(
                of_task.get(str(row["network"]), math.inf), float(row["lead"])
            )
    return mean_interval([np.mean(list(of_task.values())) for of_task in least.values()])


def _means(deciding: Sequence[Row], value: str) -> str:
    names = distinct(deciding, "representation")
    return ", ".join(
        f"{name} {np.mean(column(where(deciding, {'representation': name}), value)):.3f}"
        for name in names
    )


def _notes(rows: Sequence[Row], deciding: Sequence[Any]) -> list[str]:
    wide = sum(row["width"] >= row["n"] for row in deciding)
    pairs, last = distinct(deciding, *PAIR), where(deciding, {"decides": True})
    rises = sum(
        _highest(where(rows, {**_of_pair(pair), "representation": PUBLISHED})) for pair in pairs
    )
    return [
        f"mean area over ‖y‖²√n, last layers: {_means(last, 'area')}",
        f"that of {PERMUTED}: {_means(last, 'null')}",
        f"mean kernel–target alignment, centred, which no common mean of rows changes: {_means(last, 'kernel_alignment')}",
        f"mean area of the highest layer of untrained networks: {_highest_untrained(deciding):.3f}",
        f"the last layer is the network's highest in {rises} of {len(pairs)} cases",
        f"{wide} of {len(deciding)} compared representations have width d ≥ n, where A(0⁺) = ‖y‖² whatever they are; "
        "the area weighs each share of y with σ/√n",
        "BatchNorms of untrained networks have the statistics of the first 50 samples",
        "intervals are of samples (jackknife over ten groups); the deciding effect's is over tasks",
    ]


def _of_texts(config: PretrainedConfig, deciding: Sequence[Any]) -> str:
    """What the row for language says."""
    if not deciding:
        return f"there is no row for language: the sentence encoder is not installed ({INSTALL})"
    adjusted, last = _adjusted(deciding), where(deciding, {"decides": True})
    above = sum(p <= config.level for p in adjusted.values())
    return f"{TEXTS} on texts: above in {above} of {len(adjusted)} comparisons; mean area of last layers {_means(last, 'area')}"


def _highest_untrained(deciding: Sequence[Any]) -> float:
    """The mean over networks, tasks and seeds of the highest layer's area."""
    highest: dict[tuple, float] = {}
    for row in where(deciding, {"representation": UNTRAINED}):
        key = (row["network"], row["task"], row["seed"])
        highest[key] = max(highest.get(key, 0.0), float(row["area"]))
    return float(np.mean(list(highest.values())))


def _highest(layers: Sequence[Any]) -> bool:
    """Whether no layer is above the last."""
    return max(layers, key=lambda row: row["area"])["decides"]


STUDY = Study(
    name="pretrained",
    claim="Networks that were trained on ImageNet are more aligned with new tasks than untrained ones, pixels and handcrafted "
    "features are.",
    source="the paper's claim that existing high-performance deep CNNs show high alignment; what is compared is ours",
    sizes={
        "small": PretrainedConfig(),
        "paper": PretrainedConfig(
            networks=(
                "efficientnet-lite0",
                "efficientnet-lite1",
                "efficientnet-lite2",
                "squeezenet1.1",
            ),
            pairs=ALL_PAIRS,
            texts=(("stats", "special"), ("signal", "linalg"), ("ndimage", "optimize")),
            samples=1000,
            seeds=5,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
