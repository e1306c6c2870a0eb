"""The architectures that the studies train: small networks of each family, built for a problem."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
from flax import nnx
from jax import Array

from jaxalign.capture import Tap, tap
from jaxalign.models import CNN, MLP, BasicBlock, Initialization, ResNet, ViT, lecun_normal
from jaxalign.studies.shared.problems import Problem


def whole(activation: Array) -> Array:
    """An activation as it is."""
    return activation


def class_token(tokens: Array) -> Array:
    """The first of the tokens (n, t, d)."""
    return tokens[:, 0]


class Architecture(NamedTuple):
    """A family of networks.

    Attributes:
      name: for tables.
      images: whether it takes images only.
      build: of (problem, rngs): the network, of one output.
      representation: the part of a layer's output that is measured; by default all of it.
      layers: which to measure, as of ``tap``; by default the network's ``post_activations``.
    """

    name: str
    images: bool
    build: Callable[[Problem, nnx.Rngs], Any]
    representation: Callable[[Array], Array] = whole
    layers: str | None = None

    def tap(self, network: Any) -> Tap:
        """The layers of a network of this architecture."""
        layers = tap(network, self.layers or network.post_activations)

        def forward(state: Any, inputs: Array) -> tuple[Any, OrderedDict[str, Array]]:
            outputs, activations = layers(state, inputs)
            representations = OrderedDict(
                (name, self.representation(activation)) for name, activation in activations.items()
            )
            return outputs, representations

        return replace(layers, forward=forward)


def mlp(
    name: str,
    activation: Callable[[Array], Array],
    widths: tuple[int, ...] = (64, 64, 64),
    initialization: Initialization | None = None,
) -> Architecture:
    """A multilayer perceptron, by default with LeCun's initial weights."""
    start = initialization or lecun_normal()

    def build(problem: Problem, rngs: nnx.Rngs) -> MLP:
        inputs = problem.inputs[0].size
        return MLP(inputs, widths, 1, activation=activation, initialization=start, rngs=rngs)

    return Architecture(name, images=False, build=build)


def cnn(channels: tuple[int, ...]) -> Architecture:
    """A convolutional network with these channels and one hidden layer of 64 units."""

    def build(problem: Problem, rngs: nnx.Rngs) -> CNN:
        return CNN(problem.inputs.shape[1:], channels, 64, 1, rngs=rngs)

    return Architecture("CNN", images=True, build=build)


def _resnet(problem: Problem, rngs: nnx.Rngs) -> ResNet:
    channels = problem.inputs.shape[-1]
    return ResNet(BasicBlock, (1, 1, 1, 1), 1, channels=channels, stem="cifar", width=8, rngs=rngs)


def transformer(blocks: int, layers: str | None = None) -> Architecture:
    """A vision transformer with so many blocks, by default measured at these and its last norm.

    It is measured at the class token, which the head reads; the last block's other tokens lead
    nowhere, so nothing trains them.
    """

    def build(problem: Problem, rngs: nnx.Rngs) -> ViT:
        _, side, _, channels = problem.inputs.shape
        return ViT(32, blocks, 4, 1, image=side, patch=side // 4, channels=channels, rngs=rngs)

    return Architecture("transformer", True, build, class_token, layers)


LINEAR = mlp("linear MLP", whole)
RELU = mlp("ReLU MLP", jax.nn.relu)
TANH = mlp("tanh MLP", jax.numpy.tanh)
CONVOLUTIONAL = cnn((8, 16))
RESIDUAL = Architecture("ResNet", images=True, build=_resnet)
TRANSFORMER = transformer(3)

ARCHITECTURES = (LINEAR, RELU, TANH, CONVOLUTIONAL, RESIDUAL, TRANSFORMER)


def architecture_named(name: object, among: Sequence[Architecture]) -> Architecture:
    """The one of these architectures that has the name."""
    return next(one for one in among if one.name == name)
