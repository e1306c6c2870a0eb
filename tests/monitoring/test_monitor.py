import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import CNN


def test_records_are_the_measures_of_each_layer(task, x64):
    model = task.model()
    thresholds, grid = (0.5, 2.0), (0.0, 1.0, 3.0)
    watch = task.monitor(model, thresholds=thresholds, grid=grid)
    state = nnx.state(model)
    records = watch(state)
    _, activations = watch.tap(state, watch.inputs)
    assert list(records) == ["input", "hidden_1", "hidden_2"]
    for name, activation in {"input": watch.inputs, **activations}.items():
        s = ja.spectrum(ja.prepare(activation), watch.targets)
        record = records[name]
        np.testing.assert_allclose(record.area, ja.alignment_area(s)[0], rtol=1e-5)
        np.testing.assert_allclose(
            record.alignment, ja.alignment_curve(s, thresholds)[:, 0], rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            record.curve, ja.alignment_curve(s, grid)[:, 0], rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            record.null, ja.random_label_curve(s, grid, 40)[:, 0], rtol=1e-4, atol=1e-4
        )


def test_sample_and_finish_are_the_monitor_in_two_parts(task):
    model = task.model()
    for measure in ("exact", "quadrature", "deferred"):
        watch = task.monitor(model, measure=measure)
        states = [nnx.state(task.model(seed)) for seed in range(3)]
        samples = [watch.sample(state) for state in states]
        together = jax.vmap(watch.finish)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *samples))
        for i, state in enumerate(states):
            alone = watch(state)
            assert list(alone) == list(together)
            np.testing.assert_allclose(
                together["hidden_2"].curve[i], alone["hidden_2"].curve, rtol=1e-4, atol=1e-4
            )
            np.testing.assert_allclose(together["input"].area[i], alone["input"].area, rtol=1e-5)


def test_unknown_ways_to_measure_are_refused(task):
    with pytest.raises(
        ValueError, match="measure must be 'exact', 'quadrature', 'deferred', found 'fast'"
    ):
        task.monitor(task.model(), measure="fast")
    with pytest.raises(ValueError, match="order must be at least 1, found 0"):
        task.monitor(task.model(), method="quadrature", order=0)


@pytest.mark.parametrize("measure", ["exact", "deferred"])
@pytest.mark.parametrize("reduce", ["flatten", "mean", "cls"])
def test_maps_become_rows_as_asked(rng, measure, reduce):
    """Of 40 images "flatten" makes layers wider than n, "mean" and "cls" narrower ones: both ways
    to defer.
    """
    images = rng.random((40, 6, 6, 2)).astype(np.float32)
    model = CNN((6, 6, 2), (3, 5), 4, 1, rngs=nnx.Rngs(0))
    targets = ja.encode_targets(np.arange(40) % 2)
    watch = ja.monitor(
        ja.tap(model, model.post_activations), images, targets, measure=measure, reduce=reduce
    )
    _, activations = watch.tap(nnx.state(model), images)
    records = watch(nnx.state(model))
    assert list(records) == ["input", "conv_1", "conv_2", "hidden"]
    for name, activation in activations.items():
        s = ja.spectrum(ja.prepare(activation, reduce=reduce), targets)
        np.testing.assert_allclose(records[name].area, ja.alignment_area(s)[0], rtol=1e-4)
    flat = ja.spectrum(ja.prepare(images), targets)
    np.testing.assert_allclose(records["input"].area, ja.alignment_area(flat)[0], rtol=1e-4)


def test_reductions_that_leave_several_rows_a_sample_are_refused(task):
    with pytest.raises(
        ValueError,
        match="reduce must be 'flatten', 'mean', 'cls', found 'samples'; 'samples' makes several",
    ):
        task.monitor(task.model(), reduce="samples")


def test_several_targets_are_averaged(task):
    model = task.model()
    targets = jnp.asarray(np.random.default_rng(1).standard_normal((90, 3)), jnp.float32)
    together = ja.monitor(ja.tap(model), task.inputs, targets)(nnx.state(model))
    alone = [
        ja.monitor(ja.tap(model), task.inputs, targets[:, j : j + 1])(nnx.state(model))
        for j in range(3)
    ]
    for name, record in together.items():
        for field in ja.Record._fields:
            mean = np.mean([getattr(one[name], field) for one in alone], axis=0)
            np.testing.assert_allclose(getattr(record, field), mean, rtol=1e-4, atol=1e-4)


def test_default_grid_spans_what_singular_values_can_be(task):
    watch = task.monitor(task.model())
    assert watch.reading.grid[0] == 0
    assert watch.reading.grid[-1] == pytest.approx(40**0.5)


def test_a_pytree_under_jit_vmap_and_scan(task):
    model = task.model()
    watch = task.monitor(model)
    states = [nnx.state(task.model(seed)) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    expected = [watch(state) for state in states]
    as_argument = jax.jit(lambda watch, states: jax.vmap(watch)(states))(watch, stacked)
    scanned = jax.jit(
        lambda states: jax.lax.scan(lambda carry, state: (carry, watch(state)), 0, states)[1]
    )(stacked)
    for found in (as_argument, scanned):
        assert list(found) == ["input", "hidden_1", "hidden_2"]
        for i in range(3):
            np.testing.assert_allclose(
                found["hidden_2"].area[i], expected[i]["hidden_2"].area, rtol=1e-4
            )


def test_integer_inputs_have_no_representation_of_their_own():
    class Embedder(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Embed(10, 4, rngs=rngs)

        def __call__(self, tokens):
            return self.embed(tokens)

    model = Embedder(nnx.Rngs(0))
    watch = ja.monitor(ja.tap(model), jnp.arange(12) % 10, ja.encode_targets(np.arange(12) % 2))
    assert list(watch(nnx.state(model))) == ["embed"]


def test_bad_arguments_are_explained(task):
    model = task.model()
    tap, targets = ja.tap(model), ja.encode_targets(task.labels)
    with pytest.raises(ValueError, match="as many rows"):
        ja.monitor(tap, task.inputs[:-1], targets)
    with pytest.raises(ValueError, match="pass encode_targets"):
        ja.monitor(tap, task.inputs, task.labels)
    with pytest.raises(ValueError, match="thresholds must be finite"):
        ja.monitor(tap, task.inputs, targets, thresholds=(1.0, np.nan))
    with pytest.raises(ValueError, match="grid must be a non-empty list"):
        ja.monitor(tap, task.inputs, targets, grid=())
    with pytest.raises(ValueError, match="inputs must be finite"):
        ja.monitor(tap, np.where(task.inputs > 2, np.nan, task.inputs), targets)


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
        watch = ja.monitor(
            ja.tap(model(dtype), at="input"),
            task.inputs,
            ja.encode_targets(jnp.asarray(task.labels)),
        )
        _, activations = watch.tap(nnx.state(model(dtype)), watch.inputs)
        found[dtype] = watch(nnx.state(model(dtype)))["layers.2"]
        assert found[dtype].curve.dtype == jnp.float32
        exact = np.asarray(activations["layers.2"], np.float64)  # as it came out of the model
        s = ja.spectrum(ja.prepare(exact), watch.targets, method="svd")
        np.testing.assert_allclose(found[dtype].area, ja.alignment_area(s)[0], rtol=1e-5)
    np.testing.assert_allclose(found[jnp.bfloat16].area, found[jnp.float32].area, rtol=1e-2)
