"""What a user logs, from ``fit`` to the history, the folder and the dashboards."""

from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.monitoring import (
    alignment_measures,
    curve,
    of_activations,
    of_features,
    of_moments,
    of_null,
    of_outputs,
    of_pair,
    of_spectrum,
)
from jaxalign.runs._writers import scalars

TOP = {"direction": [1, 2, 3]}
MINE = {
    "a/b": lambda spectrum: spectrum.rank,
    "Ä x": of_spectrum(lambda spectrum: spectrum.singular_values[:3], coordinates=TOP),
    "Area": of_features(lambda features: features.mean(axis=0)),
    "area": ja.alignment_area,
}
AREA = {"area": ja.alignment_area, "curve": curve([0.5, 1.0, 2.0])}


class Recorder:
    def __init__(self):
        self.rows = []
        self.summary = {}

    def log(self, values, step):
        self.rows.append((step, values))


@pytest.fixture(scope="module")
def followed(task, tmp_path_factory):
    """(state, history, folder, rows of a dashboard) of a run with the measures of a user."""
    folder = tmp_path_factory.mktemp("runs")
    recorder = Recorder()
    writers = [ja.RunWriter(folder / "run", {}), ja.WandbWriter(recorder)]
    if find_spec("tensorboardX") is not None:
        writers.append(ja.TensorBoardWriter(folder / "board"))

    def write(part):
        for writer in writers:
            writer.write(part)

    model = task.model()
    monitor = task.monitor(model, measures=MINE, method="svd")
    state, history = task.fit(model, monitor=monitor, callback=write)
    return state, history, folder / "run", recorder.rows


def features_of(task, state, rows=slice(0, 40)):
    """{layer: activations} of a state, as float64."""
    _, activations = ja.tap(task.model(), "hidden_*")(state, task.inputs[rows])
    return {name: np.asarray(x, np.float64) for name, x in activations.items()}


def test_a_users_measures_are_logged_as_they_are_returned(task, followed):
    """The last row is about the final state, where numpy finds the same."""
    state, history, _, _ = followed
    for name, x in features_of(task, state.model).items():
        logged = history.layers[name]
        assert list(logged) == list(MINE)
        phi = np.concatenate([x, np.ones((40, 1))], axis=1)
        phi /= np.linalg.norm(phi, axis=1, keepdims=True)
        sigma = np.linalg.svd(phi, compute_uv=False)
        np.testing.assert_allclose(logged["Ä x"][-1], sigma[:3], rtol=1e-4)
        np.testing.assert_allclose(logged["Area"][-1], x.mean(axis=0), rtol=1e-4, atol=1e-6)
        assert logged["a/b"].dtype == np.int32
        assert logged["a/b"][-1] == (sigma > sigma[0] * np.finfo(np.float32).eps * 40).sum()
    assert [history.layers[name]["Area"].shape[1] for name in history.layers] == [6, 16, 12]
    for axes in history.coordinates.values():
        assert list(axes) == ["Ä x"]
        np.testing.assert_array_equal(axes["Ä x"]["direction"], [1, 2, 3])


def test_they_are_read_back_from_the_folder(followed):
    _, history, folder, _ = followed
    read = ja.read_history(folder)
    assert jax.tree.structure(read) == jax.tree.structure(history)
    for x, y in zip(jax.tree.leaves(read), jax.tree.leaves(history), strict=True):
        np.testing.assert_array_equal(x, y)
    files = {file.name for file in folder.glob("*.npy")}
    each = {f"Area.{layer}.npy" for layer in history.layers}
    assert files == {"%C3%84 x.npy", "a%2Fb.npy", "area.npy", *each}
    kept = ja.runs.read_config(folder)["measured"]["arrays"]
    assert [kept[file]["dtype"] for file in ("a%2Fb.npy", "area.npy")] == ["int32", "float32"]


def test_dashboards_show_them(followed):
    _, history, folder, rows = followed
    assert rows == list(scalars(history))
    step, values = rows[5]
    logged = history.layers["hidden_1"]
    assert step == 5
    assert values["a/b/hidden_1"] == logged["a/b"][5]
    assert values["Ä x_2/hidden_1"] == logged["Ä x"][5, 1]
    assert values["area/hidden_1"] == pytest.approx(logged["area"][5] / 40)
    assert not any(name.startswith("Area") for name in values)
    for file in folder.parent.glob("board/events.out.*"):
        content = file.read_bytes()
        assert b"a/b/hidden_1" in content
        assert "Ä x_2/hidden_1".encode() in content


def pairs(task):
    """Measures of two representations, and of all that is not a spectrum."""
    start = features_of(task, nnx.state(task.model()))
    fixed = np.asarray(start["hidden_1"][:, :4], np.float32)

    def distance(x, other):
        return ((x[:, :6] - other[:, :6]) ** 2).mean()

    def product(x, other):
        return x.T @ other

    return {
        "change": of_pair(distance, reference="start"),
        "gap": of_pair(distance, reference="previous"),
        "fixed": of_pair(product, reference=fixed),
        "known": of_pair(product, reference={"hidden_2": fixed}),
        "outputs": of_outputs(lambda outputs: outputs.mean()),
        "active": of_activations(lambda x, y: (y.T @ (x > 0))[0], targets=True),
        "weight": of_moments(lambda moments: moments.products.astype(np.float32).trace()),
    }, fixed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("several", "devices"),
    [
        (True, None),
        (False, 2),
        *(pytest.param(*place, marks=pytest.mark.slow) for place in [(False, None), (True, 2)]),
    ],
    ids=["several", "one on a mesh", "one", "several on a mesh"],
)
def test_pairs_and_what_is_no_spectrum_under_every_placement(task, several, devices):
    measures, fixed = pairs(task)
    models = [task.model(5), task.model()] if several else task.model()
    mesh = None if devices is None else jax.make_mesh((devices,), ("data",))
    monitor = task.monitor(task.model(), measures=measures)
    state, history = task.fit(models, monitor=monitor, mesh=mesh)
    final = state.model
    if several:
        history = history.of(1)
        final = jax.tree.map(lambda x: np.asarray(x)[1], state.model)
    after = features_of(task, final)
    before = features_of(task, nnx.state(task.model()))
    before_it = {"hidden_1": task.inputs[:40], "hidden_2": after["hidden_1"]}
    assert "change" not in history.layers["input"]
    assert list(history.layers["outputs"]) == ["outputs"]
    targets = np.asarray(ja.encode_targets(task.labels[:40]))
    for name, x in after.items():
        logged = history.layers[name]
        close = {"rtol": 1e-4, "atol": 1e-4}
        change = ((x[:, :6] - before[name][:, :6]) ** 2).mean()
        np.testing.assert_allclose(logged["change"][-1], change, **close)
        np.testing.assert_allclose(logged["change"][0], 0, atol=1e-12)
        gap = ((x[:, :6] - before_it[name][:, :6]) ** 2).mean()
        np.testing.assert_allclose(logged["gap"][-1], gap, **close)
        np.testing.assert_allclose(logged["fixed"][-1], x.T @ fixed, **close)
        np.testing.assert_allclose(logged["active"][-1], (targets.T @ (x > 0))[0], **close)
        np.testing.assert_allclose(logged["weight"], 120, rtol=1e-5)  # Φ, ±1 and the column of ones
        assert ("known" in logged) == (name == "hidden_2")
    np.testing.assert_array_equal(
        history.layers["hidden_2"]["known"], history.layers["hidden_2"]["fixed"]
    )
    outputs = nnx.merge(nnx.graphdef(task.model()), final)(task.inputs[:40])
    np.testing.assert_allclose(
        history.layers["outputs"]["outputs"][-1], outputs.mean(), rtol=1e-4, atol=1e-5
    )


def held_out(task, **settings):
    targets = ja.encode_targets(jnp.asarray(task.labels[40:80]))
    tap = ja.tap(task.model(), "hidden_*")
    return ja.monitor(tap, task.inputs[40:80], targets, **settings)


def encode(labels):
    return ja.encode_targets(labels, classes=(0, 1))


@pytest.mark.slow
def test_two_monitors_log_what_each_logs_alone(task):
    model = task.model()
    monitors = {
        "train": task.monitor(model, measures=AREA, method="svd"),
        "held_out": held_out(task, measures=AREA, method="svd"),
    }
    state, both = task.fit(model, monitor=monitors)
    layers = ["input", "hidden_1", "hidden_2"]
    assert list(both.layers) == [f"{name}/{layer}" for name in monitors for layer in layers]
    assert [layer for layer in both.layers if ja.runs.is_input(layer)] == [
        "train/input",
        "held_out/input",
    ]
    for name, monitor in monitors.items():
        alone_state, alone = task.fit(model, monitor=monitor)
        np.testing.assert_allclose(both.loss, alone.loss, rtol=1e-6)
        for layer, logged in alone.layers.items():
            whole = f"{name}/{layer}"
            assert both.totals[whole] == alone.totals[layer]
            assert list(both.coordinates[whole]) == list(alone.coordinates[layer]) == ["curve"]
            for measure, values in logged.items():
                np.testing.assert_allclose(both.layers[whole][measure], values, rtol=1e-4)
        for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(alone_state), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_training_batch_and_a_fixed_set_are_measured_side_by_side(task, tmp_path):
    """With measures of their own, and read back from the folder."""
    model = task.model()
    mean = {"mean": of_features(jnp.mean)}
    batch = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, 16, measures=mean)
    writer = ja.RunWriter(tmp_path, {})
    monitors = {"batch": batch, "held_out": held_out(task, measures=AREA, method="svd")}
    _, both = task.fit(model, monitor=monitors, every=4, callback=writer.write)
    assert list(both.layers["batch/hidden_1"]) == ["mean"]
    assert list(both.layers["held_out/hidden_1"]) == ["area", "curve"]
    assert both.totals["batch/hidden_1"] == 16
    first = np.random.default_rng((0, 0)).permutation(90)[:16]
    expected = features_of(task, nnx.state(model), first)["hidden_1"].mean()
    np.testing.assert_allclose(both.layers["batch/hidden_1"]["mean"][0], expected, rtol=1e-5)
    read = ja.read_history(tmp_path)
    assert jax.tree.structure(read) == jax.tree.structure(both)
    for x, y in zip(jax.tree.leaves(read), jax.tree.leaves(both), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_each_target_is_logged_apart(task, tmp_path):
    """The last row is about the final state, where numpy finds the same."""
    model = task.model(outputs=3)
    labels = np.arange(90) % 3
    targets = np.asarray(ja.encode_targets(labels[:40]))
    monitor = ja.monitor(
        ja.tap(model, "hidden_*"),
        task.inputs[:40],
        targets,
        measures=AREA | {"null": of_null(ja.alignment_area)},
        targets_as="each",
        method="svd",
    )
    writer = ja.RunWriter(tmp_path, {})
    settings = {"steps": 20, "batch_size": 16, "chunk": 7, "monitor": monitor}
    state, history = ja.fit(
        model, optax.sgd(0.1), task.inputs, labels, callback=writer.write, **settings
    )
    _, activations = ja.tap(model, "hidden_*")(state.model, task.inputs[:40])
    for name, x in activations.items():
        logged = history.layers[name]
        shapes = {measure: values.shape[1:] for measure, values in logged.items()}
        assert shapes == {"area": (3,), "curve": (3, 3), "null": (3,)}
        u, sigma, _ = np.linalg.svd(np.float64(ja.prepare(x)), full_matrices=False)
        energy = (u.T @ targets) ** 2
        curve = [energy[sigma >= tau].sum(axis=0) for tau in (0.5, 1.0, 2.0)]
        np.testing.assert_allclose(logged["area"][-1], sigma @ energy, rtol=1e-3)
        np.testing.assert_allclose(logged["curve"][-1], curve, rtol=1e-3)
    arrays = ja.runs.read_config(tmp_path)["measured"]["arrays"]
    assert arrays["curve.npy"]["dimensions"] == ["step", "layer", "tau", "axis_1"]
    np.testing.assert_array_equal(
        ja.read_history(tmp_path).layers["hidden_1"]["curve"], history.layers["hidden_1"]["curve"]
    )


@pytest.mark.slow
def test_the_default_measures_fit_the_batch_as_well(task):
    model = task.model()
    batch = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, 16, method="svd")
    _, history = task.fit(model, monitor=batch)
    assert list(history.layers["hidden_1"]) == list(alignment_measures(16))
    tau = history.coordinates["hidden_1"]["curve"]["tau"]
    assert tau[-1] == 4
    np.testing.assert_allclose(history.layers["hidden_2"]["curve"][:, 0], 16, rtol=1e-4)
