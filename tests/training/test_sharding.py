"""Models as their users split them over a mesh: the optimizer's state and checkpoints split alike,
the log that of one device.
"""

import logging
import math
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign.training._sharding import shardings_of_model, shardings_of_optimizer

KINDS = [AxisType.Explicit, AxisType.Auto]


def mesh_of(shape, kind=AxisType.Auto, devices=None):
    axes = ("data", "model")
    return jax.make_mesh(shape, axes, axis_types=(kind,) * 2, devices=devices)


@pytest.fixture(scope="module")
def mesh():
    return mesh_of((2, 2))


def split(model, mesh, spec):
    """The model with its arrays split by ``spec(array)``."""
    state = nnx.state(model)
    shardings = jax.tree.map(lambda x: NamedSharding(mesh, spec(x)), state)
    nnx.update(model, jax.device_put(state, shardings))
    return model


def by_tensor(x):
    """Kernels and biases of layers wider than one, over the model axis."""
    return P(*(None,) * (x.ndim - 1), "model" if x.shape[-1] > 1 else None)


def by_both(x):
    """The first axis over the data axis too."""
    return P("data", *by_tensor(x)[1:]) if x.ndim == 2 and x.shape[0] % 2 == 0 else by_tensor(x)


def bytes_per_device(tree):
    """How much of a tree each device holds."""
    held = dict.fromkeys(range(jax.device_count()), 0)
    for array in jax.tree.leaves(tree):
        for shard in array.addressable_shards:
            held[shard.device.id] += shard.data.nbytes
    return {count for count in held.values() if count > 0}


class Wide(nnx.Module):
    def __init__(self, rngs):
        self.square = nnx.Linear(256, 256, rngs=rngs)
        self.flat = nnx.Linear(6, 256, rngs=rngs)


def masked(kernels):
    return jax.tree.map(lambda x: x.ndim == 2, kernels)


OPTIMIZERS = {
    "adam": optax.adam(0.1),
    "adafactor": optax.adafactor(0.1),
    "lbfgs": optax.lbfgs(),
    "sm3": optax.sm3(0.1),
    "muon": optax.contrib.muon(0.1),
    "masked": optax.masked(optax.adam(0.1), masked),
    "accumulated": optax.MultiSteps(optax.adamw(0.1), 2),
    "schedule_free": optax.contrib.schedule_free_adamw(0.1),
    "scheduled": optax.inject_hyperparams(optax.adam)(optax.cosine_decay_schedule(0.1, 9)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_an_optimizer_is_split_as_its_parameters(name, mesh):
    """Nothing of the size of a parameter is on every device, and no axis is split unevenly."""
    parameters = nnx.state(nnx.eval_shape(lambda: Wide(nnx.Rngs(0))), nnx.Param)
    given = jax.tree.map(lambda x: NamedSharding(mesh, by_both(x)), parameters)
    pairs = zip(jax.tree.leaves(parameters), jax.tree.leaves(given), strict=True)
    specs = {(x.shape, sharding.spec) for x, sharding in pairs}
    state = jax.eval_shape(OPTIMIZERS[name].init, parameters)
    shardings = shardings_of_optimizer(state, parameters, given, mesh)
    assert jax.tree.structure(state) == jax.tree.structure(shardings)
    for leaf, sharding in zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True):
        held = math.prod(sharding.shard_shape(leaf.shape))
        if leaf.size >= 256:
            assert held <= leaf.size / 2
        if leaf.shape in {shape for shape, _ in specs}:
            assert (leaf.shape, sharding.spec) in specs or leaf.shape == (256,)


def test_an_array_of_no_parameter_is_on_every_device_and_said_to_be(mesh, caplog):
    parameters = nnx.state(nnx.eval_shape(lambda: Wide(nnx.Rngs(0))), nnx.Param)
    given = jax.tree.map(lambda x: NamedSharding(mesh, by_both(x)), parameters)
    state = jax.eval_shape(optax.flatten(optax.sgd(0.1, momentum=0.9)).init, parameters)
    with caplog.at_level(logging.WARNING):
        shardings = shardings_of_optimizer(state, parameters, given, mesh)
    assert all(s.spec == P() for s in jax.tree.leaves(shardings))
    assert "belongs to no parameter" in caplog.text


class Annotated(nnx.Module):
    def __init__(self, axes):
        init = nnx.with_partitioning(nnx.initializers.lecun_normal(), axes, eager_sharding=False)
        self.hidden = nnx.Linear(6, 16, kernel_init=init, rngs=nnx.Rngs(0))
        self.out = nnx.Linear(16, 1, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.out(nnx.relu(self.hidden(x)))


def test_an_annotation_says_how_an_array_is_split(mesh):
    def spec(axes):
        shardings = shardings_of_model(nnx.state(Annotated(axes)), mesh)
        return shardings["hidden"]["kernel"].get_raw_value().spec

    assert spec((None, "model")) == P(None, "model")
    with nnx.logical_axis_rules((("wide", "model"),)):
        assert spec((None, "wide")) == P(None, "model")
    with pytest.raises(ValueError, match=r"'hidden.kernel' .* the axis 'wide', which the mesh "):
        spec((None, "wide"))
    with pytest.raises(ValueError, match="cannot be split as it is annotated"):
        shardings_of_model(nnx.state(Annotated(("data", "model"))), mesh_of((4, 1)))


@pytest.mark.parametrize("devices", [[2, 3], [1, 0, 3, 2]])
def test_arrays_on_other_devices_than_the_mesh_are_refused(task, mesh, devices):
    own = Mesh(np.array(jax.devices())[devices].reshape(-1, 1), ("data", "model"))
    model = split(task.model(), own, lambda x: P())
    with pytest.raises(ValueError, match=r"'hidden_1.bias' of the model lies on cpu:\d, cpu:"):
        task.fit(model, monitor=None, mesh=mesh)
    alone = task.model()
    nnx.update(alone, jax.device_put(nnx.state(alone), jax.devices()[3]))
    with pytest.raises(ValueError, match=r"'hidden_1.bias' of the model lies on cpu:3, which"):
        task.fit(alone, monitor=None, mesh=mesh_of((2, 1), devices=jax.devices()[:2]))


def test_without_a_mesh_all_arrays_have_to_be_on_one_device(task):
    models = [task.model(), task.model()]
    for i, model in enumerate(models):
        nnx.update(model, jax.device_put(nnx.state(model), jax.devices()[i + 1]))
    with pytest.raises(ValueError, match="arrays must be on the same devices"):
        task.fit(models, monitor=None)
    task = task._replace(inputs=jax.device_put(task.inputs, jax.devices()[2]))
    with pytest.raises(ValueError, match=r"on cpu:1 and one of shape \(90, 6\) on cpu:2"):
        task.fit(models[0], monitor=None)


def test_an_axis_needs_a_mesh_that_has_it(task, mesh):
    with pytest.raises(ValueError, match="data_axis='rows' needs a mesh"):
        task.fit(task.model(), monitor=None, data_axis="rows")
    with pytest.raises(ValueError, match="mesh has no axis 'rows'"):
        task.fit(split(task.model(), mesh, by_both), monitor=None, data_axis="rows")
    with pytest.raises(TypeError, match="data_axis must be a str or tuple or list, found 0"):
        task.fit(task.model(), monitor=None, mesh=mesh, data_axis=0)
    with pytest.raises(TypeError, match=r"data_axis\[1\] must be a str, found 0"):
        task.fit(task.model(), monitor=None, mesh=mesh, data_axis=("data", 0))


@pytest.mark.slow
def test_one_device_of_explicit_axes_is_one_device(task):
    alone = mesh_of((1, 1), AxisType.Explicit, jax.devices()[:1])
    _, found = task.fit(split(task.model(), alone, by_both), monitor=None, steps=6, chunk=3)
    _, expected = task.fit(task.model(), monitor=None, steps=6, chunk=3)
    np.testing.assert_array_equal(found.loss, expected.loss)


def test_several_models_are_not_split_over_the_axis_that_they_are_on(task, mesh):
    models = [split(task.model(seed), mesh, by_both) for seed in (0, 1)]
    with pytest.raises(ValueError, match=r"must not be split over the mesh's axis 'data'"):
        task.fit(models, monitor=None, mesh=mesh)


def assert_close(found, expected):
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        x, y = np.asarray(x, float), np.asarray(y, float)
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(y).max(initial=1e-3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.slow)], ids=["explicit", "auto"]
)
def test_a_split_model_logs_what_one_device_logs(task, kind):
    """Without a mesh, that of its arrays is taken; the state goes out on it, and is in use only
    while the model runs.
    """
    mesh = mesh_of((2, 2), kind)
    model = split(task.model(), mesh, by_both)
    monitor = task.monitor(model, measures={"area": ja.alignment_area}, defer=True)
    in_use = []

    def callback(part):
        in_use.append(jax.sharding.get_mesh().empty)

    state, found = task.fit(model, monitor=monitor, callback=callback)
    assert in_use == [True] * 3
    alone, expected = task.fit(task.model(), monitor=monitor)
    assert_close((state, found), (alone, expected))
    before = jax.tree.map(lambda x: x.sharding, nnx.state(model))
    assert jax.tree.map(lambda x: x.sharding, state.model) == before
    # Parameters, two moments of each, and two counts.
    (held,) = bytes_per_device(nnx.state(model))
    assert bytes_per_device(state) == {3 * held + 8}
    assert held < 0.4 * sum(x.nbytes for x in jax.tree.leaves(nnx.state(model)))


@pytest.mark.slow
def test_a_trained_state_on_explicit_axes_is_measured_and_inspected(task):
    """As it goes out of ``fit``, split over axes on which its own products would be refused."""
    model = split(task.model(), mesh_of((2, 2), AxisType.Explicit), by_both)
    monitor = task.monitor(model)
    batches = [(task.inputs[:40], ja.encode_targets(task.labels[:40]))]
    logged, inspections = [], []
    for state in nnx.state(task.model()), nnx.state(model):
        logged.append(monitor(state)["hidden_1"]["area"])
        tap = ja.tap(model, "hidden_*")
        inspections.append(ja.inspection.inspect(tap, state, batches).spectra["hidden_1"])
    np.testing.assert_allclose(*logged, rtol=1e-4)
    np.testing.assert_allclose(*(each.singular_values for each in inspections), rtol=1e-4)


@pytest.mark.slow
def test_a_checkpoint_is_read_onto_any_mesh(task, tmp_path):
    """On the same mesh bit for bit, on others to rounding; what the others wrote is read too."""
    meshes = [mesh_of((2, 2)), mesh_of((4, 1), AxisType.Explicit), None, mesh_of((2, 2))]
    settings = {"monitor": None, "chunk": 8, "optimizer": optax.adafactor(1e-2)}
    whole, expected = task.fit(task.model(), steps=40, **settings)
    kept = ja.Checkpoints(tmp_path)
    for steps, mesh in zip((8, 16, 24, 40), meshes, strict=True):
        model = task.model()
        if mesh is not None:
            model = split(model, mesh, by_tensor)
        state, rows = task.fit(model, steps=steps, mesh=mesh, checkpoints=kept, **settings)
        np.testing.assert_allclose(rows.loss, expected.loss[rows.step], rtol=1e-4)
    assert rows.step[0] > 0
    assert_close(state, whole)
    again, _ = task.fit(model, steps=40, mesh=mesh, checkpoints=kept, **settings)
    for x, y in zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=True):
        assert x.sharding == y.sharding
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_eight_devices():
    """Four by two, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("eight_devices.py"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_models_name_the_axes_of_the_mesh(task, mesh):
    """In its constraints, and in explicit axes of its own."""

    class Named(nnx.Module):
        def __init__(self):
            self.hidden = nnx.Linear(6, 16, use_bias=False, rngs=nnx.Rngs(0))
            self.out = nnx.Linear(16, 1, rngs=nnx.Rngs(1))

        def __call__(self, x):
            if jax.sharding.get_abstract_mesh().empty:
                return self.out(self.hidden(x))

            def product(x, kernel):
                return jnp.einsum("ij,jk->ik", x, kernel, out_sharding=P("data", "model"))

            specs = (P("data", None), P(None, "model"))
            explicit = jax.sharding.explicit_axes(product, in_sharding=specs)
            hidden = explicit(x, self.hidden.kernel[...])
            return self.out(jax.lax.with_sharding_constraint(hidden, P("data", "model")))

    _, found = task.fit(split(Named(), mesh, by_tensor), monitor=None, steps=5)
    _, expected = task.fit(Named(), monitor=None, steps=5)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-4)
