"""What a training run compiles, for ``lower_everywhere.py`` and ``compile_for_tpu.py``: monitors
and a chunk of ``fit``.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _lowering_cases import Case
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign.capture._networks import split_model
from jaxalign.models import MLP
from jaxalign.training import _chunk, _state, classification

WAYS: dict[str, dict[str, Any]] = {
    "exact": {},
    "quadrature": {"method": "quadrature"},
    "deferred": {"defer": True},
}
BATCH = 16


class Problem(NamedTuple):
    """A model with training data, and which of its layers are measured."""

    model: nnx.Module
    inputs: jax.Array
    labels: jax.Array
    layers: Any


def perceptron() -> Problem:
    inputs = jax.random.normal(jax.random.key(0), (120, 20))
    model = MLP(20, (16, 12), 1, rngs=nnx.Rngs(0))
    return Problem(model, inputs, (inputs[:, 0] > 0).astype(int), "hidden_*")


def convolutions() -> Problem:
    """A network with batch normalisation, whose averages are state without a gradient."""
    inputs = jax.random.normal(jax.random.key(0), (60, 8, 8, 1))
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(
        nnx.Conv(1, 4, (3, 3), rngs=rngs),
        nnx.BatchNorm(4, rngs=rngs),
        nnx.relu,
        nnx.Conv(4, 6, (3, 3), strides=2, rngs=rngs),
        nnx.relu,
        partial(jnp.mean, axis=(1, 2)),
        nnx.Linear(6, 2, rngs=rngs),
    )
    return Problem(model, inputs, (inputs[:, 0, 0, 0] > 0).astype(int), nnx.Conv)


def two_classes(labels):
    return ja.encode_targets(labels, classes=(0, 1))


def monitor_of(problem: Problem, way: str):
    """What measures a fixed set of inputs at each step."""
    tap = ja.tap(problem.model, problem.layers)
    targets = two_classes(problem.labels)
    return ja.monitor(tap, problem.inputs, targets, order=4, **WAYS[way])


def batch_monitor_of(problem: Problem, way: str):
    """What measures each training batch."""
    tap = ja.tap(problem.model, problem.layers)
    return ja.batch_monitor(tap, two_classes, BATCH, order=4, **WAYS[way])


def training_cases(mesh: Mesh) -> Iterator[Case]:
    """Monitors, and chunks of ``fit``; one of them on a mesh of one axis."""
    yield from monitor_cases()
    yield from fit_chunk_cases(mesh)


def logged(monitor, state):
    return monitor(state)


def monitor_cases() -> Iterator[Case]:
    problem = perceptron()
    state = shapes(nnx.state(problem.model))
    for way in WAYS:
        monitor = shapes(monitor_of(problem, way))
        yield Case(f"monitor[{way}]", logged, (monitor, state))


def fit_chunk_cases(mesh: Mesh) -> Iterator[Case]:
    """A chunk of steps as ``fit`` compiles it."""
    plain = perceptron()
    images = convolutions()
    for way in WAYS:
        name = f"fit chunk MLP, batch monitor[{way}]"
        yield chunk_case(name, plain, batch_monitor_of(plain, way))
        fixed = monitor_of(plain, way)
        yield chunk_case(f"fit chunk MLP[{way}]", plain, fixed)
        yield two_models_case(f"fit chunk two MLPs[{way}]", plain, fixed)
        yield chunk_case(f"fit chunk CNN[{way}]", images, monitor_of(images, way))
    yield mesh_case("fit chunk MLP on a mesh", plain, mesh)


def recipe_of(problem: Problem):
    """How the model is trained."""
    return _state.Recipe(split_model(problem.model, None).network, optax.adam(1e-3), classification)


def chunk_case(name: str, problem: Problem, monitor) -> Case:
    recipe = recipe_of(problem)
    state = recipe.start(nnx.state(problem.model))
    data = _state.Data({"": monitor}, problem.inputs, problem.labels, steps=10)
    run = partial(four_steps, _chunk.of_one(recipe))
    return Case(name, run, (shapes(state), shapes(data)))


def two_models_case(name: str, problem: Problem, monitor) -> Case:
    recipe = recipe_of(problem)
    state = jax.tree.map(lambda x: jnp.stack([x, x]), recipe.start(nnx.state(problem.model)))
    data = _state.Data({"": monitor}, problem.inputs, problem.labels, steps=10)
    program = _chunk.of_several(recipe, same_batches=True, hyperparameters=False)
    run = partial(four_steps, program, seeds=np.zeros(2, np.uint32))
    return Case(name, run, (shapes(state), shapes(data)))


def mesh_case(name: str, problem: Problem, mesh: Mesh) -> Case:
    """The program splits its batches and the monitor's rows over the mesh."""
    everywhere = NamedSharding(mesh, P())
    recipe = recipe_of(problem)
    state = shapes(recipe.start(nnx.state(problem.model)), everywhere)
    # Of shapes alone, because the devices of the mesh may be devices that are not there.
    monitor = jax.eval_shape(lambda monitor: monitor.over(mesh), monitor_of(problem, "exact"))
    data = _state.Data({}, problem.inputs, problem.labels, steps=10)
    placed = shapes(data._replace(monitors={"": monitor}), everywhere)
    program = _chunk.of_one(recipe, split=NamedSharding(mesh, P(*mesh.axis_names)))
    return Case(name, partial(four_steps, program), (state, placed))


def four_steps(run, state, data, batch: int = BATCH, seeds=0):
    """``run`` with the row numbers of four batches, each measured."""
    rows = np.arange(4 * batch, dtype=np.int32).reshape(4, 1, batch)
    return run(state, rows % len(data.inputs), _state.PerModel(None, {}, seeds), data)


def shapes(tree: Any, sharding: NamedSharding | None = None) -> Any:
    """The tree with the shapes of its arrays and numbers in their place."""

    def shape(x):
        return jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x), sharding=sharding)

    return jax.tree.map(shape, tree)
