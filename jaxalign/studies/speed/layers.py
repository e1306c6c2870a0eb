"""The layers of many networks, untrained and trained, on rows they saw and on others."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float

from jaxalign._features import INPUT, prepare
from jaxalign.capture import tap
from jaxalign.studies.framework.study import Value
from jaxalign.studies.shared.networks import Architecture
from jaxalign.studies.shared.problems import Parts
from jaxalign.studies.speed.design import Config
from jaxalign.studies.speed.table import NO_NETWORK, TRAINED, UNTRAINED
from jaxalign.training import fit


class Representation(NamedTuple):
    """The features of all rows, first those that networks are trained on, and where they come from.

    Attributes:
      network: its number.
      state: of the network.
      layer: of the network.
      features: (n + m, d) of n rows that networks are trained on, and of m that are held out.
    """

    network: int
    state: str
    layer: str
    features: Float[np.ndarray, "rows d"]

    @property
    def place(self) -> dict[str, Value]:
        """The columns that say where it comes from."""
        return {"network": self.network, "state": self.state, "layer": self.layer}


def features_of(activations: jax.typing.ArrayLike) -> Float[np.ndarray, "rows d"]:
    """Φ of any rows, as the measure has it: rows of norm 1 with a bias."""
    return np.asarray(prepare(activations, reduce="flatten"))


def layers_of(config: Config, architecture: Architecture, parts: Parts) -> Iterator[Representation]:
    """The inputs, then every layer of every network, untrained and trained."""
    problem = parts.trained_on
    inputs = np.concatenate([problem.inputs, parts.held_out.inputs])
    yield Representation(NO_NETWORK, INPUT, INPUT, features_of(inputs))
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
    layers = tap(networks[0], networks[0].post_activations)
    activations = jax.jit(lambda state: layers(state, inputs)[1])
    for i, network in enumerate(networks):
        trained = jax.tree.map(lambda x, i=i: x[i], learned.model)
        for name, state in ((UNTRAINED, nnx.state(network)), (TRAINED, trained)):
            for layer, activation in activations(state).items():
                yield Representation(i, name, layer, features_of(activation))
