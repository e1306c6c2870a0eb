"""Over a mesh of devices: batches and monitored rows of one model, or several models, with the same
log as on one device.
"""

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType

import jaxalign as ja

SEEDS = (3, 5)


@pytest.fixture
def mesh():
    return jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))


def assert_same_log(found: ja.History, expected: ja.History):
    """To rounding before the first update; then sums in another order are carried on, and grow with
    the steps.
    """
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = float(np.abs(y).max(initial=0))
        if np.ndim(y):
            np.testing.assert_allclose(x[:1], y[:1], rtol=1e-6, atol=1e-6 * scale)
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "every", "axis", "shape"),
    [
        ({}, 4, AxisType.Explicit, {"data": 4}),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ({"defer": True}, 3, AxisType.Explicit, {"replica": 2, "data": 2}),
                ({"method": "quadrature"}, 2, AxisType.Auto, {"data": 4}),
            ]
        ),
    ],
    ids=str,
)
def test_batches_and_monitored_rows_over_devices(task, how, every, axis, shape):
    mesh = jax.make_mesh(tuple(shape.values()), tuple(shape), axis_types=(axis,) * len(shape))
    settings = {"monitor": task.monitor(task.model(), **how), "every": every}
    state, found = task.fit(task.model(), mesh=mesh, data_axis=tuple(shape), **settings)
    alone, expected = task.fit(task.model(), **settings)
    assert_same_log(found, expected)
    for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_batches_measured_over_devices(task, mesh):
    monitor = ja.batch_monitor(
        ja.tap(task.model(), "hidden_*"),
        lambda y: ja.encode_targets(y, classes=(0, 1)),
        num_samples=16,
        defer=True,
    )
    _, found = task.fit(task.model(), monitor=monitor, mesh=mesh)
    assert_same_log(found, task.fit(task.model(), monitor=monitor)[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "shape"), [(SEEDS, (2, 1)), (2, (1, 2))], ids=["an order each", "one order"]
)
def test_models_over_devices(task, seed, shape):
    axes = ("replica", "data")
    mesh = jax.make_mesh(shape, axes)
    models = [task.model(s) for s in SEEDS]
    settings = {
        "optimizer": optax.sgd,
        "hyperparameters": np.array([0.1, 0.3]),
        "seed": seed,
    }
    state, found = task.fit(models, mesh=mesh, data_axis=axes, **settings)
    assert_same_log(found, task.fit(models, **settings)[1])
    assert len(state.step.sharding.device_set) == 2  # what was trained apart lies apart


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_a_run_over_devices_goes_on_from_its_checkpoint(task, mesh, several, tmp_path):
    model = [task.model(s) for s in SEEDS] if several else task.model()
    settings = {"monitor": task.monitor(task.model()), "mesh": mesh}
    settings["seed"] = SEEDS if several else 0
    _, whole = task.fit(model, **settings)
    kept = ja.Checkpoints(tmp_path, every=7)

    def stop(part):
        if part.step[-1] >= 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.fit(model, checkpoints=kept, callback=stop, **settings)
    _, rest = task.fit(model, checkpoints=kept, **settings)
    assert rest.step[0] > 0
    np.testing.assert_array_equal(rest.loss, whole.loss[rest.step[0] :])


def test_one_sum_a_layer_crosses_between_devices(task, mesh):
    """The monitor's rows stay where they are."""
    monitor = task.monitor(task.model(), defer=True).over(mesh)
    state = nnx.state(task.model())
    text = jax.jit(monitor.sample).lower(state).compile().as_text()
    assert text.count(" all-reduce(") + text.count(" all-reduce-start(") <= 2
    assert "all-gather" not in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"batch_size": 17},
            "batch_size must be a multiple of the mesh's 2 devices, found 17; "
            "take 16 or 18, or fewer devices",
        ),
        (
            {"models": 3},
            "the number of models must be a multiple of the mesh's 2 devices, found 3; "
            "take 2 or 4, or fewer devices",
        ),
        (
            {"monitor": 39},
            "the monitor's 39 rows must be a multiple of the mesh's 2 devices; take 38 of them",
        ),
    ],
)
def test_what_the_devices_do_not_divide_is_refused(task, mesh, settings, message):
    models = [task.model(s) for s in range(settings.pop("models", 0))] or task.model()
    if "monitor" in settings:
        rows = settings["monitor"]
        targets = ja.encode_targets(task.labels[:rows])
        settings = {
            "monitor": ja.monitor(ja.tap(task.model(), "hidden_*"), task.inputs[:rows], targets)
        }
    with pytest.raises(ValueError, match=message):
        task.fit(models, mesh=mesh, **settings)


@pytest.mark.parametrize(
    ("data_axis", "message"),
    [
        ("data", "mesh has no axis 'data' .*found 'a', 'b'; pass data_axis= one of them"),
        ("c", "mesh has no axis 'c'"),
        (("a", "c"), "mesh has no axis 'c'"),
        (("a", "a"), r"must name axes of the mesh, each one once, found \('a', 'a'\)"),
        ((), "must name axes of the mesh"),
    ],
)
def test_a_mesh_without_the_data_axis_is_refused(task, data_axis, message):
    with pytest.raises(ValueError, match=message):
        task.fit(task.model(), mesh=jax.make_mesh((2, 2), ("a", "b")), data_axis=data_axis)
