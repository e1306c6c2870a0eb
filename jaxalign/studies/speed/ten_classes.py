"""Data with ten classes, and representations on each of which every even split is learned."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float, Int

from jaxalign._features import INPUT
from jaxalign.capture import tap
from jaxalign.data import cifar10, fashion_mnist
from jaxalign.models import MLP
from jaxalign.studies.framework.extra import require
from jaxalign.studies.shared.outside import CIFAR10, path_of
from jaxalign.studies.speed.design import TEN_CLOTHES, TEN_DIGITS, Config
from jaxalign.studies.speed.labelings import CLASSES, SPLITS, targets
from jaxalign.studies.speed.layers import Representation, features_of
from jaxalign.studies.speed.table import ON_CLASSES, ON_SPLIT, UNTRAINED
from jaxalign.training import fit

WIDTHS = (128, 128, 128)


class Images(NamedTuple):
    """Images with the numbers of their classes, 0...9."""

    inputs: Float[np.ndarray, "n ..."]
    labels: Int[np.ndarray, " n"]


def images_of(name: str) -> Images:
    """All images of a data set."""
    if name == TEN_DIGITS:
        digits = require("sklearn.datasets").load_digits()
        # Pixels are 0...16.
        return Images((digits.images.astype(np.float32) - 8) / 8, digits.target)
    split = fashion_mnist() if name == TEN_CLOTHES else cifar10(path_of(CIFAR10))
    return Images(split.train.inputs, split.train.labels)


def drawn(config: Config, images: Images, draw: int) -> Images:
    """The images of one draw: those to train on first, as many of each class.

    Draws share no image.
    """
    size = config.per_class + config.held_out
    first = draw * size
    of_classes = np.stack(
        [np.flatnonzero(images.labels == c)[first : first + size] for c in range(CLASSES)]
    )
    rows = np.concatenate(
        [of_classes[:, : config.per_class].ravel(), of_classes[:, config.per_class :].ravel()]
    )
    return Images(images.inputs[rows], images.labels[rows])


def representations_of(config: Config, images: Images, draw: int) -> Iterator[Representation]:
    """The inputs of a draw, and last hidden layers of a network: untrained, and trained on one
    split or on the ten classes.
    """
    n = config.per_class * CLASSES
    labels = images.labels.astype(np.int32)
    split = np.random.default_rng(draw).integers(len(SPLITS))
    sides = (targets(labels)[:, split] > 0).astype(np.int32)
    yield Representation(draw, INPUT, INPUT, features_of(images.inputs))
    network = _network(images, CLASSES, draw)
    yield _last_layer(UNTRAINED, network, nnx.state(network), images, draw)
    for state, outputs, classes in ((ON_SPLIT, 1, sides), (ON_CLASSES, CLASSES, labels)):
        network = _network(images, outputs, draw)
        learned, _ = fit(
            network,
            optax.adam(1e-3),
            images.inputs[:n],
            classes[:n],
            steps=config.training,
            batch_size=min(64, n),
            seed=draw,
        )
        yield _last_layer(state, network, learned.model, images, draw)


def _network(images: Images, outputs: int, draw: int) -> MLP:
    return MLP(images.inputs[0].size, WIDTHS, outputs, rngs=nnx.Rngs(draw))


def _last_layer(
    state: str, network: MLP, parameters: nnx.State, images: Images, draw: int
) -> Representation:
    layers = tap(network, network.post_activations)
    _, activations = jax.jit(layers)(parameters, images.inputs)
    layer, activation = list(activations.items())[-1]
    return Representation(draw, state, layer, features_of(activation))
