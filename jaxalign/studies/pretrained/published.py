"""Networks with their published weights, and the same ones untrained: samples to the features of
every layer.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxalign._features import prepare
from jaxalign.capture import tap
from jaxalign.models import SqueezeNet, efficientnet_lite, minilm_l6, sentence_encoder
from jaxalign.models.weights import pretrained

IMAGES: dict[str, Callable[[nnx.Rngs], nnx.Module]] = {
    "efficientnet-lite0": lambda rngs: efficientnet_lite(0, rngs=rngs),
    "efficientnet-lite1": lambda rngs: efficientnet_lite(1, rngs=rngs),
    "efficientnet-lite2": lambda rngs: efficientnet_lite(2, rngs=rngs),
    "squeezenet1.1": lambda rngs: SqueezeNet(rngs=rngs),
}
TEXTS = "MiniLM-L6"
UNPOOLED = "unpooled"
BATCH = 50
TOKENS = 64  # of a text are read

Inputs = tuple[np.ndarray, ...]


class Network(NamedTuple):
    """A published network in evaluation mode.

    Attributes:
      weights: its published state.
      untrained: of a key: a state of initial weights.
      inputs: of samples (images of bytes, or texts): what the network takes, arrays of n rows.
      layers: of a state and a batch of inputs: {layer: (b, d) Φ}, in the order they run, maps and
        sequences averaged over their positions; of a network for images last the last layer's map
        as it is, UNPOOLED.
      calibrate: of a state and a batch of inputs: the state with that batch's statistics in every
        BatchNorm.
    """

    weights: nnx.State
    untrained: Callable[[jax.Array], nnx.State]
    inputs: Callable[[Any], Inputs]
    layers: Callable[..., OrderedDict[str, jax.Array]]
    calibrate: Callable[..., nnx.State]


@lru_cache(maxsize=1)
def network(name: str) -> Network:
    """A network of ``IMAGES``, or of texts; the last one asked for is kept, with what was compiled
    of it.

    Raises:
      ModuleNotFoundError: the package with the weights is not installed; the message says what to
        type.
    """
    if name == TEXTS:
        encoder = sentence_encoder()

        def tokens(texts):
            return encoder.tokenizer(texts, TOKENS)

        return _network(encoder.model, lambda rngs: minilm_l6(rngs=rngs), tokens)
    found = pretrained(name)

    def colour(images):
        return (found.preprocess(list(np.repeat(images[..., None], 3, axis=-1))),)

    return _network(found.model, IMAGES[name], colour)


def features(found: Network, state: nnx.State, inputs: Inputs) -> dict[str, np.ndarray]:
    """{layer: (n, d) Φ} of all rows, with a 1 appended and of length one."""
    parts = [found.layers(state, *batch) for batch in _batches(inputs)]
    return {
        name: np.concatenate([part[name] for part in parts])[: len(inputs[0])] for name in parts[0]
    }


def untrained(found: Network, seed: int, inputs: Inputs) -> nnx.State:
    """Initial weights, with the BatchNorms set to the statistics of the first batch.

    Left at mean 0 and variance 1, the signal would grow or die from layer to layer, and the
    untrained network would be worse than initial weights are: in training they never act so.
    """
    return found.calibrate(
        found.untrained(jax.random.key(seed, impl="rbg")), *next(_batches(inputs))
    )


def _network(
    model: Any, build: Callable[[nnx.Rngs], nnx.Module], inputs: Callable[[Any], Inputs]
) -> Network:
    tapped = tap(model, model.post_activations)

    def layers(
        state: nnx.State, x: jax.Array, mask: jax.Array | None = None
    ) -> OrderedDict[str, jax.Array]:
        arguments = (x,) if mask is None else (x, mask)
        _, activations = tapped(state, *arguments)
        pooled = OrderedDict(
            (name, prepare(value, reduce="mean", mask=mask)) for name, value in activations.items()
        )
        return (
            pooled
            if mask is not None
            else OrderedDict([*pooled.items(), (UNPOOLED, _flat(activations))])
        )

    weights = nnx.state(model)
    initial = jax.jit(lambda key: nnx.state(build(nnx.Rngs(key)), nnx.Not(nnx.RngState)))

    def whole(key):
        return nnx.merge_state(initial(key), nnx.filter_state(weights, nnx.RngState))

    ordered: list[str] = []  # jit sorts names

    def in_order(state: nnx.State, *batch: np.ndarray) -> OrderedDict[str, jax.Array]:
        if not ordered:
            ordered.extend(jax.eval_shape(layers, state, *batch))
        found = compiled(state, *batch)
        return OrderedDict((name, found[name]) for name in ordered)

    compiled = jax.jit(layers)
    return Network(
        weights, whole, inputs, in_order, jax.jit(partial(_calibrated, _calibrating(model)))
    )


def _flat(activations: OrderedDict[str, jax.Array]) -> jax.Array:
    last = next(reversed(activations.values()))
    return prepare(last.reshape(len(last), -1))


def _calibrating(model: nnx.Module) -> nnx.GraphDef:
    """The network whose BatchNorms normalize with the batch, and keep its statistics alone."""
    copy = nnx.clone(model)
    for _, layer in nnx.iter_modules(copy):
        if isinstance(layer, nnx.BatchNorm):
            layer.use_running_average, layer.momentum = False, 0.0
    return nnx.graphdef(copy)


def _calibrated(graph: nnx.GraphDef, state: nnx.State, *batch: jax.Array) -> nnx.State:
    model = nnx.merge(graph, state, copy=True)
    model(*batch)
    return nnx.state(model)


def _batches(inputs: Inputs):
    """Batches of one size; the last one is filled up with its last row."""
    short = -len(inputs[0]) % BATCH
    filled = [np.pad(x, [(0, short), *[(0, 0)] * (x.ndim - 1)], mode="edge") for x in inputs]
    return (tuple(x[i : i + BATCH] for x in filled) for i in range(0, len(filled[0]), BATCH))
