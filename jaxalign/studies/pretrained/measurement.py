"""The measurement of the study of pretrained networks: areas of all that is compared."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxalign._features import prepare
from jaxalign._spectrum.batched import spectra
from jaxalign._spectrum.spectrum import spectrum
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.models.weights._pretrained import published_file
from jaxalign.statistics import jackknife
from jaxalign.studies.framework.study import Cell, Row, Value
from jaxalign.studies.pretrained.design import (
    PUBLISHED,
    UNTRAINED,
    Config,
    image_tasks,
    text_tasks,
)
from jaxalign.studies.pretrained.published import UNPOOLED, features, network, untrained
from jaxalign.studies.pretrained.tasks import GROUPS, Task


class Layer(NamedTuple):
    """One representation of a task's samples.

    Attributes:
      representation: of the published network, an untrained one, or the name of a reference.
      seed: of the untrained network.
      layer: its name.
      depth: from 1; 0 of what belongs to no sequence of layers.
      decides: whether it is compared.
      width: d.
      phi: Φ in its own span, (n, min(n, d)).
    """

    representation: str
    seed: int
    layer: str
    depth: int
    decides: bool
    width: int
    phi: Float[np.ndarray, "n r"]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per layer, published and untrained, and per representation without a network.

    Raises:
      ModuleNotFoundError: weights of any of the networks are missing; the message says what to
        type.
    """
    for name in config.networks:
        published_file(name)
    task_of = {**image_tasks(config), **text_tasks(config)}[str(cell["task"])]
    task = task_of(config.num_samples)
    layers = list(_layers(str(cell["network"]), task, config.seeds))
    areas = [_areas(layer.phi, task.targets) for layer in layers]
    permuted = _permuted(task.targets, config.permutations)
    deciding = next(
        area
        for layer, area in zip(layers, areas, strict=True)
        if layer.decides and layer.representation == PUBLISHED
    )
    return [
        {
            **cell,
            **_names(layer),
            **_values(config, layer.phi, task.targets, permuted),
            **_intervals(area, deciding),
        }
        for layer, area in zip(layers, areas, strict=True)
    ]


def in_own_span(phi: np.ndarray) -> Float[np.ndarray, "n r"]:
    """Φ (n, d) itself; if d > n, an (n, n) matrix with the same products of rows.

    The spectra of both are the same, of every choice of rows.
    """
    if phi.shape[1] <= len(phi):
        return phi
    # Φᵀ = QR, so ΦΦᵀ = RᵀR. In this mode qr returns the array R alone.
    return np.linalg.qr(phi.T, mode="r").T  # type: ignore[attr-defined]


def _layers(name: str, task: Task, seeds: int) -> Iterator[Layer]:
    """The references of a task, then all layers of the published and of the untrained networks."""
    for reference, values in task.references.items():
        phi = np.asarray(prepare(values, reduce="flatten"))
        yield _layer(reference, 0, reference, 0, True, phi)
    net = network(name)
    inputs = net.inputs(task.samples)
    yield from _layers_of(PUBLISHED, 0, features(net, net.weights, inputs))
    for seed in range(seeds):
        state = untrained(net, seed, inputs)
        yield from _layers_of(UNTRAINED, seed, features(net, state, inputs))


def _layers_of(representation: str, seed: int, by_layer: dict[str, np.ndarray]) -> Iterator[Layer]:
    unpooled = by_layer.pop(UNPOOLED, None)
    for depth, (layer, phi) in enumerate(by_layer.items(), start=1):
        yield _layer(representation, seed, layer, depth, depth == len(by_layer), phi)
    if unpooled is not None:
        # Only the untrained network's is compared; its pooled layer is a weak reference.
        compared = representation == UNTRAINED
        yield _layer(f"{representation}, {UNPOOLED}", seed, layer, 0, compared, unpooled)


def _layer(
    representation: str, seed: int, layer: str, depth: int, decides: bool, phi: np.ndarray
) -> Layer:
    return Layer(representation, seed, layer, depth, decides, phi.shape[1], in_own_span(phi))


def _names(layer: Layer) -> dict[str, Value]:
    names: dict[str, Value] = {
        name: value for name, value in layer._asdict().items() if name != "phi"
    }
    return {**names, "n": len(layer.phi)}


def _areas(phi: np.ndarray, targets: np.ndarray) -> Float[np.ndarray, " areas"]:
    """The area over ‖y‖²√n of all samples, then without each of g groups."""
    n = len(phi)
    # Samples in the order of their classes are dealt out, so every group has as many of each.
    group = np.empty(n, np.int64)
    group[np.argsort(targets[:, 0], kind="stable")] = np.arange(n) % GROUPS
    rows = np.stack([np.flatnonzero(group != g) for g in range(GROUPS)])
    whole = alignment_area(spectrum(phi, targets))
    without = jax.vmap(alignment_area)(spectra(jnp.asarray(phi[rows]), targets[rows]))
    return np.append(whole / n**1.5, without[:, 0] / rows.shape[1] ** 1.5).astype(np.float64)


def _permuted(targets: np.ndarray, count: int) -> Float[np.ndarray, "n {count}"]:
    """Permutations of the labels."""
    draw = np.random.default_rng(0)
    return draw.permuted(np.repeat(targets, count, axis=1), axis=0)


def _values(
    config: Config, phi: np.ndarray, targets: np.ndarray, permuted: np.ndarray
) -> dict[str, Value]:
    """A(τ)/‖y‖², and the area compared with those of permuted labels."""
    n = len(phi)
    # One decomposition serves the labels, in the first column, and all their permutations.
    s = spectrum(phi, np.concatenate([targets, permuted], axis=1))
    areas = np.asarray(alignment_area(s), np.float64) / n**1.5
    null = areas[1:]
    return {
        "at": float(alignment_curve(s, config.threshold * math.sqrt(n))[0]) / n,
        "kernel_alignment": _kernel_alignment(phi, targets),
        "null": float(np.mean(null)),
        "null_95": float(np.quantile(null, 0.95)),
        "p_null": (1 + int(np.count_nonzero(null >= areas[0]))) / (1 + len(null)),
    }


def _kernel_alignment(phi: np.ndarray, targets: np.ndarray) -> float:
    """Σσ_i²(u_iᵀy)² / (‖y‖²·√Σσ_i⁴) of centred Φ and y.

    It does not depend on the mean of all rows, nor on scale.
    """
    s = spectrum(phi, targets, centered=True)
    squares = np.asarray(s.singular_values, np.float64) ** 2
    return float(squares @ np.asarray(s.energy[:, 0]) / s.total[0] / np.linalg.norm(squares))


def _intervals(areas: np.ndarray, deciding: np.ndarray) -> dict[str, Value]:
    """The area, and how far the network's last layer is above it, each with its interval."""
    lead = deciding - areas
    area = jackknife(areas[0], areas[1:]).estimate
    above = jackknife(lead[0], lead[1:])
    return {
        "area": area.value,
        "low": area.low,
        "high": area.high,
        "lead": above.estimate.value,
        "lead_low": above.estimate.low,
        "lead_high": above.estimate.high,
        "p_lead": above.p,
    }
