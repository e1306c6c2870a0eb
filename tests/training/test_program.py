"""What stands in the compiled chunk, and what does not."""

import re

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jaxalign as ja
from jaxalign.capture._networks import split_model
from jaxalign.monitoring import of_features
from jaxalign.training import classification
from jaxalign.training._arrays import Arrays
from jaxalign.training._chunk import compiled, of_one
from jaxalign.training._schedule import schedule
from jaxalign.training._state import Data, PerModel, Recipe

NOTHING = PerModel(None, {})
AREA = {"area": ja.alignment_area}


def recipe_of(model):
    return Recipe(split_model(model, None).network, optax.adam(1e-2), classification)


def data_of(task, **monitors):
    return Data(monitors, jnp.asarray(task.inputs), jnp.asarray(task.labels), 20)


def test_steps_between_measurements_cost_nothing(task):
    """The program that trains between them holds no eigensolver: one is outside the inner loop."""
    model = task.model()
    recipe = recipe_of(model)
    data = data_of(task, only=task.monitor(model))
    start = recipe.start(nnx.state(model))
    jaxpr = jax.make_jaxpr(of_one(recipe))(start, jnp.zeros((3, 5, 16), int), NOTHING, data)
    outer = next(e for e in jaxpr.jaxpr.eqns if e.primitive.name == "scan")
    inner = next(e for e in outer.params["jaxpr"].eqns if e.primitive.name == "scan")
    assert "eigh" in str(outer.params["jaxpr"])
    assert "eigh" not in str(inner.params["jaxpr"])


def operations(task, measures):
    """How often each operation stands in the program that takes these measures."""
    monitor = task.monitor(task.model(), measures=measures)
    text = jax.jit(monitor.sample).lower(nnx.state(task.model())).as_text()
    names = re.findall(r"stablehlo\.\w+|@lapack\w+", text)
    return {name: names.count(name) for name in names}


def test_what_nobody_asked_for_costs_nothing(task):
    """Without a measure of the spectrum none is solved, without one of the null no product is made
    for it, and without one of features none is computed from them.
    """
    model = task.model()
    forward = jax.jit(task.monitor(model).tap).lower(nnx.state(model), task.inputs[:40]).as_text()
    products = forward.count("stablehlo.dot_general")
    features = operations(task, {"mean": of_features(jnp.mean)})
    assert not any("lapack" in name for name in features)
    assert features["stablehlo.dot_general"] <= products
    area = operations(task, AREA)
    both = operations(task, AREA | {"chance": ja.monitoring.of_null(ja.alignment_area)})
    solvers = {name: count for name, count in area.items() if "lapack" in name}
    assert solvers
    assert solvers == {name: count for name, count in both.items() if "lapack" in name}
    assert sum(area.values()) < sum(both.values())


def test_no_callback_and_one_program_for_all_chunks(task):
    """Nothing in the compiled chunk calls the host, and the last, partial chunk runs the same
    program.
    """
    model = task.model()
    recipe = recipe_of(model)
    run = compiled(of_one(recipe), None)
    source = Arrays(task.inputs, task.labels, 16, [0])
    blocks = list(source.blocks(schedule(20, 1, 8), 0))
    assert {block.samples.shape for block in blocks} == {(8, 1, 16)}
    data = data_of(task, only=task.monitor(model))
    lowered = run.lower(recipe.start(nnx.state(model)), blocks[0].samples, NOTHING, data)
    text = lowered.compile().as_text()
    called = set(re.findall(r'custom_call_target="([^"]+)"', text))
    assert any("syevd" in target for target in called)
    assert not any("callback" in target for target in called)
    assert "infeed" not in text
