"""What a training run compiles, for ``lower_everywhere.py``: monitors and a chunk of ``fit``."""

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _lowering_cases import Case, device_mesh
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign.models import MLP
from jaxalign.training import _state, classification

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


def training_cases() -> Iterator[Case]:
    yield from monitor_cases()
    yield from fit_chunk_cases()


def logged(monitor, state):
    return monitor(state)


def monitor_cases() -> Iterator[Case]:
    problem = perceptron()
    state = shapes(nnx.state(problem.model))
    for way in WAYS:
        monitor = shapes(monitor_of(problem, way))
        yield Case(f"monitor[{way}]", logged, (monitor, state))


def fit_chunk_cases() -> Iterator[Case]:
    """A chunk of steps as ``fit`` compiles it.

    ``fit`` does not hand out its program. Only this function knows the module that builds it.
    Without that module a case named "fit chunk" fails with the error of the import.
    """
    try:
        from jaxalign.training import _chunk as chunk
    except ImportError as error:
        yield Case("fit chunk", partial(fail, error), ())
        return
    plain = perceptron()
    images = convolutions()
    for way in WAYS:
        name = f"fit chunk MLP, batch monitor[{way}]"
        yield chunk_case(chunk, name, plain, batch_monitor_of(plain, way))
        fixed = monitor_of(plain, way)
        yield chunk_case(chunk, f"fit chunk MLP[{way}]", plain, fixed)
        yield two_models_case(chunk, f"fit chunk two MLPs[{way}]", plain, fixed)
        yield chunk_case(chunk, f"fit chunk CNN[{way}]", images, monitor_of(images, way))
    yield mesh_case(chunk, "fit chunk MLP on a mesh", plain, monitor_of(plain, "exact"))


def fail(error: Exception):
    raise error


def recipe_of(chunk: ModuleType, problem: Problem):
    """How the model is trained."""
    return _state.Recipe(nnx.graphdef(problem.model), optax.adam(1e-3), classification)


def chunk_case(chunk: ModuleType, name: str, problem: Problem, monitor) -> Case:
    recipe = recipe_of(chunk, problem)
    state = recipe.start(nnx.state(problem.model))
    data = _state.Data({"": monitor}, problem.inputs, problem.labels, steps=10)
    run = partial(four_steps, chunk, chunk.of_one(recipe))
    return Case(name, run, (shapes(state), shapes(data)))


def two_models_case(chunk: ModuleType, name: str, problem: Problem, monitor) -> Case:
    recipe = recipe_of(chunk, problem)
    state = jax.tree.map(lambda x: jnp.stack([x, x]), recipe.start(nnx.state(problem.model)))
    data = _state.Data({"": monitor}, problem.inputs, problem.labels, steps=10)
    program = chunk.of_several(recipe, same_batches=True, hyperparameters=False)
    return Case(name, partial(four_steps, chunk, program), (shapes(state), shapes(data)))


def mesh_case(chunk: ModuleType, name: str, problem: Problem, monitor) -> Case:
    mesh = device_mesh()
    recipe = recipe_of(chunk, problem)
    arrays = (recipe.start(nnx.state(problem.model)), problem.inputs, problem.labels)
    state, inputs, labels = jax.device_put(arrays, NamedSharding(mesh, P()))
    data = _state.Data({"": monitor.over(mesh)}, inputs, labels, steps=10)
    program = chunk.of_one(recipe, NamedSharding(mesh, P(*mesh.axis_names)))
    arguments = (placed_shapes(state), placed_shapes(data))
    return Case(name, partial(four_steps, chunk, program), arguments)


def four_steps(chunk: ModuleType, run, state, data):
    """``run`` with the row numbers of four batches, each measured."""
    rows = np.arange(4 * BATCH, dtype=np.int32).reshape(4, 1, BATCH)
    return run(state, rows % len(data.inputs), _state.PerModel(None, {}), data)


def shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def placed_shapes(tree: Any) -> Any:
    def shape(x):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    return jax.tree.map(shape, tree)
