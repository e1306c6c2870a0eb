import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import CNN
from jaxalign.monitoring import (
    alignment_measures,
    curve,
    of_activations,
    of_features,
    of_moments,
    of_null,
    of_outputs,
    of_pair,
    of_quadrature,
    of_spectrum,
)
from jaxalign.monitoring._settings import METHODS

WAYS = ({}, {"method": "quadrature"}, {"defer": True})


@pytest.mark.gpu
def test_logged_are_the_measures_of_each_layer(task, x64):
    model = task.model()
    thresholds = (0.5, 2.0)
    grid = (0.0, 1.0, 3.0)
    measures = alignment_measures(40, thresholds=thresholds, grid=grid)
    monitor = task.monitor(model, measures=measures)
    state = nnx.state(model)
    logged = monitor(state)
    _, activations = monitor.tap(state, monitor.inputs)
    assert list(logged) == ["input", "hidden_1", "hidden_2"]
    for name, activation in {"input": monitor.inputs, **activations}.items():
        phi = ja.prepare(activation)
        s = ja.spectrum(phi, monitor.targets)
        null = ja.permutation_null(phi, monitor.targets)
        expected = {
            "area": ja.alignment_area(s)[0],
            "alignment": ja.alignment_curve(s, thresholds)[:, 0],
            "curve": ja.alignment_curve(s, grid)[:, 0],
            "null_area": ja.alignment_area(null)[0],
            "null_curve": ja.alignment_curve(null, grid)[:, 0],
        }
        assert list(logged[name]) == list(expected)
        for measure, value in expected.items():
            np.testing.assert_allclose(logged[name][measure], value, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("settings", WAYS, ids=str)
def test_sample_and_finish_are_the_monitor_in_two_parts(task, settings):
    monitor = task.monitor(task.model(), **settings)
    states = [nnx.state(task.model(seed)) for seed in range(3)]
    samples = list(map(jax.jit(monitor.sample), states))
    stacked = jax.tree.map(lambda *x: np.stack(x), *samples)
    together = jax.tree.map(np.asarray, jax.jit(jax.vmap(monitor.finish))(stacked))
    whole = jax.jit(monitor.__call__)
    for i, state in enumerate(states):
        alone = whole(state)
        assert list(alone) == list(together)
        for measure, value in alone["hidden_2"].items():
            other = together["hidden_2"][measure][i]
            np.testing.assert_allclose(other, value, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(together["input"]["area"][i], alone["input"]["area"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize("settings", [{"method": m} for m in METHODS] + [{"defer": True}], ids=str)
def test_ways_to_compute_agree(task, settings):
    model = task.model()
    state = nnx.state(model)
    expected = task.monitor(model, method="svd")(state)
    logged = task.monitor(model, order=40, **settings)(state)
    for layer, values in logged.items():
        np.testing.assert_allclose(values["area"], expected[layer]["area"], rtol=1e-4)
        np.testing.assert_allclose(values["curve"], expected[layer]["curve"], rtol=1e-3, atol=0.05)
    has_null = settings.get("method") != "quadrature"
    assert ("null_area" in logged["hidden_1"]) == has_null


def test_the_null_holds_for_unbalanced_targets(task):
    """A bias column holds the mean of the targets, which is not an alignment."""
    model = task.model()
    targets = jnp.where(jnp.arange(40) < 36, 1.0, -1.0)[:, None]
    monitor = ja.monitor(ja.tap(model, "hidden_2"), task.inputs[:40], targets)
    values = monitor(nnx.state(model))["hidden_2"]
    phi = ja.prepare(monitor.tap(nnx.state(model), monitor.inputs)[1]["hidden_2"])
    shuffled = [
        ja.alignment_area(ja.spectrum(phi, np.random.default_rng(i).permutation(targets)))[0]
        for i in range(200)
    ]
    error = np.std(shuffled) / 200**0.5
    assert abs(values["null_area"] - np.mean(shuffled)) < 4 * error


def test_real_targets_are_about_the_mean_and_codes_are_not(task):
    model = task.model()
    tap = ja.tap(model, "hidden_*")
    targets = task.inputs[:40, :1] + 5
    state = nnx.state(model)
    monitor = ja.monitor(tap, task.inputs[:40], targets)
    assert monitor.measurement.centered
    assert not task.monitor(model).measurement.centered
    centred = targets - targets.mean(axis=0)
    assert monitor.total == pytest.approx(float((centred**2).sum()), rel=1e-5)
    logged = monitor(state)
    again = ja.monitor(tap, task.inputs[:40], centred, centered=True)(state)
    np.testing.assert_allclose(
        logged["hidden_1"]["curve"], again["hidden_1"]["curve"], rtol=1e-4, atol=1e-4
    )
    assert logged["hidden_1"]["curve"][0] == pytest.approx(monitor.total, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "fast"}, "method must be 'auto', 'moments', .* or 'quadrature', found 'fast'"),
        ({"method": "quadrature", "order": 0}, "order must be at least 1, found 0"),
        ({"defer": True, "method": "svd"}, "defer=True keeps moments, .* found method='svd'"),
        ({"targets_as": "sum"}, "targets_as must be 'mean' or 'each', found 'sum'"),
        (
            {"reduce": "samples"},
            "reduce must be 'mean', 'flatten' or 'cls', found 'samples'; 'samp",
        ),
        ({"measures": {}}, "measures must name at least one measure"),
        ({"measures": {"loss": ja.alignment_area}}, "'loss' has the name of a logged column"),
        (
            {"measures": {"mine": lambda s: s.rank}, "method": "quadrature"},
            "measure 'mine' needs a whole spectrum, .* pass method='auto'",
        ),
        (
            {"measures": {"rank": ja.aligned_rank}, "method": "quadrature"},
            "measure 'rank' needs a whole spectrum",
        ),
        (
            {"measures": {"by chance": of_null(ja.alignment_area)}, "method": "quadrature"},
            "measure 'by chance' needs the permutation null",
        ),
        (
            {"measures": {"bounds": of_quadrature(lambda q: q.diagonal)}},
            "measure 'bounds' is one of a quadrature; pass method='quadrature', found 'auto'",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(task, settings, message):
    with pytest.raises(ValueError, match=message):
        task.monitor(task.model(), **settings)


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ({"mine": 3}, "measure 'mine' must be a function, found 3"),
        ({"": ja.alignment_area}, "names of measures must be non-empty strings"),
        ({"mine": of_features("x")}, "measure 'mine' must be a function, found 'x'"),
    ],
)
def test_what_is_no_measure_is_refused_by_name(task, measures, message):
    with pytest.raises(TypeError, match=message):
        task.monitor(task.model(), measures=measures)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s: "text", "measure 'mine' of layer 'input' must return an array of numbers"),
        (lambda s: None, "measure 'mine' of layer 'input' must return an array of numbers"),
        (lambda s: {"a": s.rank}, "'mine' of layer 'input' must return an array of numbers"),
        (lambda s: s.energy + 1j, "'mine' of layer 'input' must return real numbers"),
        (lambda s: s.nothing, "'mine' of layer 'input' failed: AttributeError: .*'nothing'"),
        (
            of_spectrum(lambda s: s.singular_values, coordinates={"i": [1, 2]}),
            r"'mine' of layer 'input' must begin with axes of \(2,\), .* found shape \(7,\)",
        ),
    ],
)
def test_a_measure_that_fails_is_named_with_its_layer(task, function, message):
    with pytest.raises(ValueError, match=message):
        task.monitor(task.model(), measures={"mine": function})


def test_each_wrapper_gives_what_it_says(task):
    model = task.model()
    fixed = np.arange(80.0).reshape(40, 2)
    measures = {
        "top": lambda s: s.singular_values[:1],
        "rank": ja.aligned_rank,
        "chance": of_null(ja.alignment_area),
        "weight": of_moments(lambda m: m.weight),
        "mean": of_features(lambda x: x.mean()),
        "fit": of_features(lambda x, y: (x[:, :1] * y).mean(), targets=True),
        "largest": of_activations(lambda a: a.max()),
        "hits": of_outputs(lambda o, y: ((o > 0) == (y > 0)).mean(), targets=True),
        "fixed": of_pair(lambda x, y: x[:, 0] @ y[:, 1], reference=fixed),
        "of one": of_pair(lambda x, y: x[0, 0] + y[0, 1], reference={"hidden_2": fixed}),
        "moved": of_pair(lambda x, y: jnp.abs(x - y).max(), reference="start"),
        "wider": of_pair(lambda x, y: jnp.asarray(x.shape[1] / y.shape[1]), reference="previous"),
    }
    start = nnx.state(model)
    monitor = task.monitor(model, measures=measures).starting_from(start)
    state = nnx.state(task.model(1))
    logged = monitor(state)
    outputs, activations = monitor.tap(state, monitor.inputs)
    hidden = np.asarray(activations["hidden_2"])
    y = np.asarray(monitor.targets)
    s = ja.spectrum(ja.prepare(hidden), y)
    expected = {
        "top": s.singular_values[0],
        "rank": ja.aligned_rank(s)[0],
        "chance": ja.alignment_area(ja.permutation_null(ja.prepare(hidden), y))[0],
        "weight": 40,
        "mean": hidden.mean(),
        "fit": (hidden[:, :1] * y).mean(),
        "largest": hidden.max(),
        "fixed": hidden[:, 0] @ fixed[:, 1],
        "of one": hidden[0, 0] + 1,
        "moved": np.abs(hidden - monitor.tap(start, monitor.inputs)[1]["hidden_2"]).max(),
        "wider": 12 / 16,
    }
    assert set(logged["hidden_2"]) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(logged["hidden_2"][name], value, rtol=1e-4, err_msg=name)
        assert logged["hidden_2"][name].shape == ()
    np.testing.assert_allclose(logged["outputs"]["hits"], np.mean((outputs > 0) == (y > 0)))
    assert "of one" not in logged["hidden_1"]
    assert not {"moved", "wider", "hits"} & set(logged["input"])
    np.testing.assert_allclose(logged["hidden_1"]["wider"], 16 / 6)


@pytest.mark.slow
@pytest.mark.parametrize("defer", [False, True], ids=["at once", "deferred"])
def test_moments_are_float64_inside_a_measure(task, defer):
    measures = {"trace": of_moments(lambda m: jnp.trace(m.products[: m.width, : m.width]) / 3)}
    monitor = task.monitor(task.model(), measures=measures, defer=defer)
    trace = jax.jit(monitor)(nnx.state(task.model()))["hidden_1"]["trace"]
    assert trace.dtype == jnp.float32
    np.testing.assert_allclose(trace, 40 / 3, rtol=1e-6)  # rows of length one


def test_a_layer_with_the_name_of_the_outputs_is_refused():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.outputs = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.outputs(x)

    model = Model(nnx.Rngs(0))
    measures = {"mean": of_outputs(lambda outputs: outputs.mean())}
    monitor = ja.monitor(ja.tap(model), np.eye(3), np.ones((3, 1)), measures=measures)
    with pytest.raises(ValueError, match="the model has a layer named 'outputs'"):
        monitor(nnx.state(model))


def test_a_pair_with_the_start_needs_the_start(task):
    measures = {"moved": of_pair(lambda x, y: (x - y).sum(), reference="start")}
    with pytest.raises(ValueError, match=r"needs the state of step 0; pass monitor\.starting_from"):
        task.monitor(task.model(), measures=measures)(nnx.state(task.model()))
    with pytest.raises(ValueError, match="reference must be 'start', 'previous', a matrix"):
        of_pair(lambda x, y: x, reference="first")


def test_a_reference_of_a_layer_that_is_not_measured_is_refused(task):
    measures = {"fixed": of_pair(lambda x, y: x.sum(), reference={"hidden_9": np.ones((40, 2))})}
    with pytest.raises(ValueError, match=r"'fixed' has layers .* measured: hidden_9; layers are"):
        task.monitor(task.model(), measures=measures)(nnx.state(task.model()))


def test_each_target_or_their_mean(task):
    model = task.model()
    targets = jnp.sign(jnp.asarray(task.inputs[:40, :3]))
    tap = ja.tap(model, "hidden_*")
    state = nnx.state(model)
    mean = ja.monitor(tap, task.inputs[:40], targets)(state)["hidden_1"]
    each = ja.monitor(tap, task.inputs[:40], targets, targets_as="each")(state)["hidden_1"]
    for name, values in each.items():
        assert values.shape == (*mean[name].shape, 3)
        np.testing.assert_allclose(values.mean(axis=-1), mean[name], rtol=1e-5, atol=1e-5)


def test_one_target_each_is_a_scalar(task):
    values = task.monitor(task.model(), targets_as="each")(nnx.state(task.model()))["hidden_1"]
    assert values["area"].shape == ()
    assert values["curve"].shape == (64,)


@pytest.mark.slow
def test_bounds_of_a_quadrature_hold_the_curve(task):
    tau = jnp.linspace(0, 6, 20)
    bounds = of_quadrature(
        lambda q: jnp.stack(ja.quadrature_bounds(q, tau))[..., 0],
        coordinates={"end": [0, 1], "tau": tau},
    )
    model = task.model()
    monitor = task.monitor(model, measures={"bounds": bounds}, method="quadrature", order=3)
    assert list(monitor.coordinates["bounds"]) == ["end", "tau"]
    lower, upper = monitor(nnx.state(model))["hidden_2"]["bounds"]
    exact = task.monitor(model, measures={"curve": curve(tau)})(nnx.state(model))["hidden_2"]
    assert (lower <= exact["curve"] + 1e-3).all()
    assert (exact["curve"] <= upper + 1e-3).all()


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("defer", [False, True], ids=["at once", "deferred"])
@pytest.mark.parametrize("reduce", ["flatten", "mean", "cls"])
def test_maps_become_rows_as_asked(rng, defer, reduce):
    """Of 40 images "flatten" makes layers wider than n, "mean" and "cls" narrower ones: both ways
    to defer.
    """
    images = rng.random((40, 6, 6, 2)).astype(np.float32)
    model = CNN((6, 6, 2), (3, 5), 4, 1, rngs=nnx.Rngs(0))
    targets = ja.encode_targets(np.arange(40) % 2)
    monitor = ja.monitor(
        ja.tap(model, model.post_activations), images, targets, defer=defer, reduce=reduce
    )
    _, activations = monitor.tap(nnx.state(model), images)
    records = monitor(nnx.state(model))
    assert list(records) == ["input", "conv_1", "conv_2", "hidden"]
    for name, activation in activations.items():
        s = ja.spectrum(ja.prepare(activation, reduce=reduce), targets)
        np.testing.assert_allclose(records[name]["area"], ja.alignment_area(s)[0], rtol=1e-4)
    flat = ja.spectrum(ja.prepare(images), targets)
    np.testing.assert_allclose(records["input"]["area"], ja.alignment_area(flat)[0], rtol=1e-4)


@pytest.mark.slow
def test_several_targets_are_averaged(task):
    model = task.model()
    targets = jnp.asarray(np.random.default_rng(1).standard_normal((90, 3)), jnp.float32)
    together = ja.monitor(ja.tap(model), task.inputs, targets)(nnx.state(model))
    alone = [
        ja.monitor(ja.tap(model), task.inputs, targets[:, j : j + 1])(nnx.state(model))
        for j in range(3)
    ]
    for name, record in together.items():
        for measure, value in record.items():
            mean = np.mean([one[name][measure] for one in alone], axis=0)
            np.testing.assert_allclose(value, mean, rtol=1e-4, atol=1e-4)


def test_default_grid_spans_what_singular_values_can_be(task):
    monitor = task.monitor(task.model())
    tau = monitor.coordinates["curve"]["tau"]
    assert tau[0] == 0
    assert tau[-1] == pytest.approx(40**0.5)
    assert tau.shape == (64,)


@pytest.mark.slow
def test_a_pytree_under_jit_vmap_and_scan(task):
    model = task.model()
    monitor = task.monitor(model)
    states = [nnx.state(task.model(seed)) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    expected = [monitor(state) for state in states]
    as_argument = jax.jit(lambda monitor, states: jax.vmap(monitor)(states))(monitor, stacked)
    scanned = jax.jit(
        lambda states: jax.lax.scan(lambda carry, state: (carry, monitor(state)), 0, states)[1]
    )(stacked)
    for found in (as_argument, scanned):
        assert list(found) == ["input", "hidden_1", "hidden_2"]
        for i in range(3):
            np.testing.assert_allclose(
                found["hidden_2"]["area"][i], expected[i]["hidden_2"]["area"], rtol=1e-4
            )


def test_integer_inputs_have_no_representation_of_their_own():
    class Embedder(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Embed(10, 4, rngs=rngs)

        def __call__(self, tokens):
            return self.embed(tokens)

    model = Embedder(nnx.Rngs(0))
    monitor = ja.monitor(ja.tap(model), jnp.arange(12) % 10, ja.encode_targets(np.arange(12) % 2))
    assert list(monitor(nnx.state(model))) == ["embed"]


def test_bad_arguments_are_explained(task):
    model = task.model()
    tap, targets = ja.tap(model), ja.encode_targets(task.labels)
    with pytest.raises(ValueError, match="as many rows"):
        ja.monitor(tap, task.inputs[:-1], targets)
    for labels in (task.labels, task.labels[:, None]):
        with pytest.raises(ValueError, match="pass encode_targets"):
            ja.monitor(tap, task.inputs, labels)
    with pytest.raises(ValueError, match="thresholds must be finite"):
        alignment_measures(90, thresholds=(1.0, np.nan))
    with pytest.raises(ValueError, match="grid must be a non-empty list"):
        alignment_measures(90, grid=())
    with pytest.raises(ValueError, match="inputs must be finite"):
        ja.monitor(tap, np.where(task.inputs > 2, np.nan, task.inputs), targets)


@pytest.mark.slow
def test_bfloat16_models_are_measured_in_float64(task):
    """What is lost is what bfloat16 lost in the activations, 3 digits; the measure adds nothing,
    and takes no square in it.
    """

    def model(dtype):
        layers = (
            nnx.Linear(6, 16, dtype=dtype, rngs=nnx.Rngs(0)),
            nnx.relu,
            nnx.Linear(16, 1, dtype=dtype, rngs=nnx.Rngs(1)),
        )
        return nnx.Sequential(*layers)

    found = {}
    for dtype in (jnp.float32, jnp.bfloat16):
        monitor = ja.monitor(
            ja.tap(model(dtype), at="input"),
            task.inputs,
            ja.encode_targets(jnp.asarray(task.labels)),
        )
        _, activations = monitor.tap(nnx.state(model(dtype)), monitor.inputs)
        found[dtype] = monitor(nnx.state(model(dtype)))["layers.2"]
        assert found[dtype]["curve"].dtype == jnp.float32
        exact = np.asarray(activations["layers.2"], np.float64)  # as it came out of the model
        s = ja.spectrum(ja.prepare(exact), monitor.targets, method="svd")
        np.testing.assert_allclose(found[dtype]["area"], ja.alignment_area(s)[0], rtol=1e-5)
    np.testing.assert_allclose(found[jnp.bfloat16]["area"], found[jnp.float32]["area"], rtol=1e-2)
