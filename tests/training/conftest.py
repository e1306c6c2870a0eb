from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import MLP


class Task(NamedTuple):
    inputs: np.ndarray
    labels: np.ndarray
    model: Callable[..., nnx.Module]
    probe: Callable[..., ja.Probe]

    def fit(self, models, optimizer=None, **settings) -> tuple[ja.TrainState, ja.History]:
        """A short measured run of one model or several, by Adam unless told."""
        first = models[0] if isinstance(models, list) else models
        settings = {"steps": 20, "batch_size": 16, "chunk": 7, "probe": self.probe(first)} | settings
        return ja.fit(models, optimizer or optax.adam(1e-2), self.inputs, self.labels, **settings)


@pytest.fixture
def task(rng) -> Task:
    """A small two-class problem that an MLP learns in tens of steps: 90 points, the label a product of signs."""
    inputs = rng.standard_normal((90, 6)).astype(np.float32)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).astype(np.int32)

    def model(seed: int = 0, outputs: int = 1) -> nnx.Module:
        return MLP(6, (16, 12), outputs, bias=True, rngs=nnx.Rngs(seed))

    def probe(model: nnx.Module, layers="hidden_*", **settings) -> ja.Probe:
        return ja.probe(ja.tap(model, layers), inputs[:40], ja.encode_targets(jnp.asarray(labels[:40])), **settings)

    return Task(inputs, labels, model, probe)
