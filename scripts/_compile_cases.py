"""What only ``compile_for_tpu.py`` compiles: the sizes of benchmarks, and chunks of ``fit`` of
models as they are trained. Arrays are shapes; nothing is initialised.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from _lowering_cases import METHODS, Case, floats
from _lowering_training import WAYS, four_steps
from flax import nnx

import jaxalign as ja
from jaxalign.capture._networks import split_model
from jaxalign.models import MLP, ViT, resnet18
from jaxalign.training import _chunk, _state, classification

SHAPES = ((1000, 129), (10_000, 512), (60_000, 784))
CLASSES = 10


def large_matrix_cases() -> Iterator[Case]:
    """Spectra of features as large as those of the benchmarks."""
    for n, d in SHAPES:
        matrix = (floats(n, d), floats(n, CLASSES))
        for method in METHODS:
            yield Case(f"spectrum[{method}] {n}×{d}", partial(ja.spectrum, method=method), matrix)
        yield Case(f"moments {n}×{d}", ja.moments, matrix)
        yield Case(f"quadrature {n}×{d}", ja.quadrature, matrix)
    matrix = (floats(10_000, 512), floats(10_000, CLASSES))
    yield Case("spectrum[auto] grad 10000×512", jax.grad(area), matrix)
    batch = (floats(64, 1000, 129), floats(64, 1000, CLASSES))
    yield Case("spectrum[auto] vmap 64×1000×129", jax.vmap(ja.spectrum), batch)


def area(features, targets):
    return ja.alignment_area(ja.spectrum(features, targets)).sum()


class Trained(NamedTuple):
    """A model, and the batches that it is trained on."""

    name: str
    build: Callable[[], nnx.Module]
    image: tuple[int, ...]
    batch: int
    reduce: Any


def perceptron() -> nnx.Module:
    return MLP(784, (128,) * 4, CLASSES, rngs=nnx.Rngs(0))


def residual_network() -> nnx.Module:
    return resnet18(CLASSES, channels=1, stem="cifar", rngs=nnx.Rngs(0))


def transformer() -> nnx.Module:
    return ViT(192, 6, 3, CLASSES, image=32, patch=4, rngs=nnx.Rngs(0))


MODELS = (
    Trained("MLP 128×4", perceptron, (784,), 1000, "mean"),
    Trained("ResNet-18", residual_network, (28, 28, 1), 128, "mean"),
    Trained("ViT 192-6-3", transformer, (32, 32, 3), 128, "cls"),
)


def large_chunk_cases() -> Iterator[Case]:
    """Chunks of ``fit`` that measure all layers of each batch."""
    for trained in MODELS:
        for way in WAYS:
            yield chunk_case(trained, way)


def ten_classes(labels):
    return ja.encode_targets(labels, classes=range(CLASSES))


def chunk_case(trained: Trained, way: str) -> Case:
    model = nnx.eval_shape(trained.build)
    tap = ja.tap(model, model.post_activations)
    monitor = ja.batch_monitor(tap, ten_classes, trained.batch, reduce=trained.reduce, **WAYS[way])
    recipe = _state.Recipe(split_model(model, None).network, optax.adam(1e-3), classification)
    state = jax.eval_shape(recipe.start, nnx.state(model))
    images = floats(10_000, *trained.image)
    labels = jax.ShapeDtypeStruct((10_000,), jnp.int32)
    data = _state.Data({"": monitor}, images, labels, jax.ShapeDtypeStruct((), jnp.int32))
    run = partial(four_steps, _chunk.of_one(recipe), batch=trained.batch)
    return Case(f"fit chunk {trained.name}[{way}]", run, (state, data))
