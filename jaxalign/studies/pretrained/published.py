"""Networks with their published weights, and the same ones untrained: features of every layer."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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
BATCH = 50
TOKENS = 64
"""How many of a text are read."""

Inputs = tuple[np.ndarray, ...]
Layers = OrderedDict[str, jax.Array]


class Network(NamedTuple):
    """A published network in evaluation mode.

    Attributes:
      weights: its published state.
      untrained: of a key: a state of initial weights.
      inputs: of samples (images of bytes, or texts): what the network takes, arrays of n rows.
      layers: of a state and a batch of inputs: {layer: (b, d) Φ}, in the order they run. Maps and
        sequences are averaged over their positions.
      calibrate: of a state and a batch of inputs: the state with that batch's statistics in every
        BatchNorm.
    """

    weights: nnx.State
    untrained: Callable[[jax.Array], nnx.State]
    inputs: Callable[[Any], Inputs]
    layers: Callable[..., Layers]
    calibrate: Callable[..., nnx.State]


@lru_cache(maxsize=1)
def network(name: str) -> Network:
    """A network of ``IMAGES``, or of texts; the last one is kept with its compiled functions.

    Raises:
      ModuleNotFoundError: the package with the weights is not installed; the message says what to
        type.
    """
    if name == TEXTS:
        encoder = sentence_encoder()

        def tokens(texts):
            return encoder.tokenizer(texts, TOKENS)

        return network_of(encoder.model, lambda rngs: minilm_l6(rngs=rngs), tokens)
    published = pretrained(name)

    def pixels(images):
        return (published.preprocess(images),)

    return network_of(published.model, IMAGES[name], pixels)


def network_of(
    model: Any, build: Callable[[nnx.Rngs], nnx.Module], inputs: Callable[[Any], Inputs]
) -> Network:
    """A model in evaluation mode as a Network.

    Args:
      model: with its published weights, and ``post_activations``.
      build: the same model with initial weights.
      inputs: of samples: what the model takes.
    """
    weights = nnx.state(model)
    initial = jax.jit(lambda key: nnx.state(build(nnx.Rngs(key)), nnx.Not(nnx.RngState)))

    def untrained_weights(key):
        return nnx.merge_state(initial(key), nnx.filter_state(weights, nnx.RngState))

    calibrate = jax.jit(partial(_calibrated, _calibrating(model)))
    return Network(weights, untrained_weights, inputs, _compiled_layers(model), calibrate)


def features(network: Network, state: nnx.State, inputs: Inputs) -> dict[str, np.ndarray]:
    """{layer: (n, d) Φ} of all rows, with a 1 appended and of length one."""
    parts = [network.layers(state, *batch) for batch in _batches(inputs)]
    n = len(inputs[0])
    return {name: np.concatenate([part[name] for part in parts])[:n] for name in parts[0]}


def untrained(network: Network, seed: int, inputs: Inputs) -> nnx.State:
    """Initial weights, with the BatchNorms set to the statistics of the first batch.

    With mean 0 and variance 1 the signal would grow or vanish from layer to layer. The untrained
    network would be worse than initial weights are, for in training they never act so.
    """
    key = jax.random.key(seed, impl="rbg")
    return network.calibrate(network.untrained(key), *next(_batches(inputs)))


def _compiled_layers(model: Any) -> Callable[..., Layers]:
    tapped = tap(model, model.post_activations)

    def layers(state: nnx.State, x: jax.Array, mask: jax.Array | None = None) -> Layers:
        arguments = (x,) if mask is None else (x, mask)
        _, activations = tapped(state, *arguments)
        return OrderedDict(
            (name, jnp.asarray(prepare(activation, reduce="mean", mask=mask)))
            for name, activation in activations.items()
        )

    compiled = jax.jit(layers)
    names: list[str] = []

    def in_order(state: nnx.State, *batch: np.ndarray) -> Layers:
        # jit returns the names sorted; the trace, made once, has them in the order they run.
        if not names:
            names.extend(jax.eval_shape(layers, state, *batch))
        values = compiled(state, *batch)
        return OrderedDict((name, values[name]) for name in names)

    return in_order


def _calibrating(model: nnx.Module) -> nnx.GraphDef:
    """The network whose BatchNorms normalize with the batch, and keep its statistics alone."""
    copy = nnx.clone(model)
    for _, layer in nnx.iter_modules(copy):
        if isinstance(layer, nnx.BatchNorm):
            layer.use_running_average = False
            layer.momentum = 0.0
    return nnx.graphdef(copy)


def _calibrated(graph: nnx.GraphDef, state: nnx.State, *batch: jax.Array) -> nnx.State:
    model = nnx.merge(graph, state, copy=True)
    model(*batch)
    return nnx.state(model)


def _batches(inputs: Inputs) -> Iterator[Inputs]:
    """Batches of one size; the last one is filled up with its last row."""
    short = -len(inputs[0]) % BATCH
    filled = [np.pad(x, [(0, short), *[(0, 0)] * (x.ndim - 1)], mode="edge") for x in inputs]
    return (tuple(x[i : i + BATCH] for x in filled) for i in range(0, len(filled[0]), BATCH))
