"""The measurement of the study of pretrained networks: layers, and what they are compared with."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxalign._features import prepare
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import spectrum_and_null
from jaxalign.models.weights._pretrained import published_file
from jaxalign.studies.framework.study import Cell, Row, Value
from jaxalign.studies.pretrained.design import (
    KERNEL,
    PUBLISHED,
    THRESHOLD,
    UNTRAINED,
    Config,
    image_tasks,
    text_tasks,
)
from jaxalign.studies.pretrained.published import features, network, untrained
from jaxalign.studies.pretrained.tasks import Task


class Layer(NamedTuple):
    """One representation of a task's samples.

    Attributes:
      representation: of the published network, an untrained one, or the name of a reference.
      seed: of the untrained network.
      layer: its name.
      depth: from 1; 0 of what is not a layer of a network.
      last: whether it is the last of its network.
      phi: (n, d) Φ.
    """

    representation: str
    seed: int
    layer: str
    depth: int
    last: bool
    phi: Float[np.ndarray, "n d"]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per layer, published and untrained, and per representation without a network.

    Raises:
      ModuleNotFoundError: weights of any of the networks are missing; the message says what to
        type.
    """
    for name in config.networks:
        published_file(name)
    task = {**image_tasks(config), **text_tasks(config)}[str(cell["task"])]()
    return [
        {
            **cell,
            "kind": task.kind,
            **_names(layer),
            **_values(layer.phi, task.targets, config.thresholds),
        }
        for layer in _layers(str(cell["network"]), task, config.seeds)
    ]


def _layers(name: str, task: Task, seeds: int) -> Iterator[Layer]:
    """References, the published network, untrained ones."""
    for reference, samples in task.references.items():
        yield Layer(reference, 0, reference, 0, False, np.asarray(prepare(samples)))
    net = network(name)
    inputs = net.inputs(task.samples)
    yield from _layers_of(PUBLISHED, 0, features(net, net.weights, inputs))
    for seed in range(seeds):
        state = untrained(net, seed, inputs)
        yield from _layers_of(UNTRAINED, seed, features(net, state, inputs))


def _layers_of(representation: str, seed: int, by_layer: dict[str, np.ndarray]) -> Iterator[Layer]:
    for depth, (layer, phi) in enumerate(by_layer.items(), start=1):
        yield Layer(representation, seed, layer, depth, depth == len(by_layer), phi)


def _names(layer: Layer) -> dict[str, Value]:
    n, width = layer.phi.shape
    names: dict[str, Value] = {
        name: value for name, value in layer._asdict().items() if name != "phi"
    }
    return {**names, "width": width, "n": n}


def _values(
    phi: np.ndarray, targets: np.ndarray, thresholds: tuple[float, ...]
) -> dict[str, Value]:
    """A(τ)/‖y‖² at every τ, centred kernel alignment, area over ‖y‖²√n, and what explains them.

    They are sums over numpy arrays: every task has an n of its own, every layer a width, and a
    compiled program for each pair of them would take longer than the networks do.
    """
    sigma, shares, by_chance = _shares(*spectrum_and_null(phi, targets))
    squares, centred_shares = _squares(spectrum(phi, targets, centered=True))
    squares_norm = np.linalg.norm(squares)
    return {
        **{f"at_{tau:g}": float(shares[sigma >= tau].sum()) for tau in thresholds},
        "at_by_chance": float(by_chance[sigma >= THRESHOLD].sum()),
        # Σσ²(uᵀy)² / (‖y‖²·√Σσ⁴) of centred Φ and y, which is their linear CKA.
        KERNEL: float(squares @ centred_shares / squares_norm),
        "area": float(sigma @ shares),
        "area_by_chance": float(sigma @ by_chance),
        "mean_share": float(np.sum(phi.mean(axis=0) ** 2)),
        "participation": float(np.sum(squares) ** 2 / squares_norm**2),
        "half_at": _half_at(sigma, shares),
    }


def _shares(s: Spectrum, null: Spectrum) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """σ/√n, the shares of ‖y‖² in their directions, and the mean shares of permuted labels."""
    sigma = np.asarray(s.singular_values, np.float64) / math.sqrt(float(s.num_samples))
    shares, by_chance = (
        np.asarray(x.energy[:, 0], np.float64) / float(x.total[0]) for x in (s, null)
    )
    return sigma, shares, by_chance


def _squares(s: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """σ², and the shares of ‖y‖² in their directions."""
    squares = np.asarray(s.singular_values, np.float64) ** 2
    return squares, np.asarray(s.energy[:, 0], np.float64) / float(s.total[0])


def _half_at(sigma: np.ndarray, shares: np.ndarray) -> float:
    """The largest τ/√n with A(τ) ≥ ‖y‖²/2, and 0 if no σ > 0 reaches it."""
    above = np.flatnonzero(np.cumsum(shares) >= 0.5)
    if not len(above):
        return 0.0
    return float(sigma[above[0]])
