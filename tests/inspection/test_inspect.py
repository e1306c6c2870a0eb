from collections import OrderedDict
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import LayerPlan, curves, inspect, notes, numbers


class Reference(NamedTuple):
    """A spectrum and the energies of its permutation null, by numpy in float64."""

    singular_values: np.ndarray
    energy: np.ndarray
    null_energy: np.ndarray
    total: np.ndarray

    def shares(self, energy, thresholds):
        """A(τ)/‖Y‖² and the area/‖Y‖², of all columns together."""
        curve = [energy[self.singular_values >= tau].sum() for tau in thresholds]
        return np.array(curve) / self.total.sum(), self.area(energy).sum() / self.total.sum()

    def area(self, energy):
        return self.singular_values @ energy


def reference_of(phi, y, centered):
    phi = np.asarray(phi, float)
    y = np.asarray(y, float)
    n = len(y)
    if centered:
        phi = phi - phi.mean(axis=0)
        y = y - y.mean(axis=0)
    u, sigma, _ = np.linalg.svd(phi, full_matrices=False)
    inside = (sigma > sigma[0] * np.finfo(np.float32).eps * max(phi.shape))[:, None]
    # The mean of (u_iᵀ P y)² over all permutations P of the rows.
    ones = u.sum(axis=0)[:, None] ** 2
    mean = y.mean(axis=0)
    spread = ((y - mean) ** 2).sum(axis=0)
    null = mean**2 * ones + spread / (n - 1) * (1 - ones / n)
    return Reference(sigma, inside * (u.T @ y) ** 2, inside * null, (y**2).sum(axis=0))


@pytest.fixture(scope="module")
def matrices(net, tap, data):
    """``matrices(reduce)``: layer → Φ of all rows."""
    images, _ = data
    _, activations = jax.jit(tap)(nnx.state(net), images)

    @cache
    def prepared(reduce):
        layers = {name: ja.prepare(value, reduce=reduce) for name, value in activations.items()}
        return {
            name: np.asarray(phi) for name, phi in {"input": ja.prepare(images), **layers}.items()
        }

    return prepared


@pytest.fixture(scope="module")
def at_once(matrices, data):
    """Layer → the Reference of all rows together, or of some of them, given by their numbers."""

    def references(targets=data[1], rows=slice(None), *, reduce="mean", centered=False):
        results = {}
        for name, phi in matrices(reduce).items():
            by_sample = phi.reshape(70, -1, phi.shape[1])
            y = np.repeat(targets[rows], by_sample.shape[1], axis=0)
            chosen = by_sample[rows].reshape(-1, phi.shape[1])
            results[name] = reference_of(chosen, y, centered)
        return results

    return references


def agree(inspection, expected, rtol=1e-6):
    assert list(inspection.spectra) == list(inspection.nulls) == list(expected)
    for name, e in expected.items():
        s = inspection.spectra[name]
        null = inspection.nulls[name]
        r = len(e.singular_values)
        for each, energy in ((s, e.energy), (null, e.null_energy)):
            np.testing.assert_allclose(
                each.singular_values[:r], e.singular_values, rtol, 1e-6 * e.singular_values[0]
            )
            np.testing.assert_allclose(ja.alignment_area(each), e.area(energy), rtol=rtol)
            np.testing.assert_allclose(each.total, e.total, rtol=rtol)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "centered"),
    [
        ("moments", False),
        ("refined", True),
        pytest.param("moments", True, marks=pytest.mark.slow),
        pytest.param("refined", False, marks=pytest.mark.slow),
    ],
)
def test_a_stream_equals_all_at_once(net, tap, data, cut, at_once, centered, method):
    inspection = inspect(tap, nnx.state(net), cut(32, *data), centered=centered, method=method)
    agree(inspection, at_once(centered=centered))
    assert inspection.num_samples == 70
    assert inspection.centered == centered


@pytest.mark.slow
@pytest.mark.parametrize("way", ["flatten", "samples", "cls"])
def test_every_reduction_equals_all_at_once(net, tap, data, cut, at_once, way):
    inspection = inspect(tap, nnx.state(net), cut(40, *data), reduce=way)
    agree(inspection, at_once(reduce=way))
    assert inspection.rows("conv") == (70 * 16 if way == "samples" else 70)
    note = notes(inspection)[-2]
    assert f'(reduce="{way}")' in note
    assert note.endswith(": conv, norm." if way != "flatten" else ": input, conv, norm.")


@pytest.mark.slow
def test_neither_order_nor_batch_size_matters(net, tap, data, cut, at_once):
    expected = at_once()
    state = nnx.state(net)
    order = np.random.default_rng(1).permutation(70)
    agree(inspect(tap, state, cut(9, *(x[order] for x in data))), expected)
    growing = [tuple(x[a:b] for x in data) for a, b in ((0, 9), (9, 41), (41, 70))]
    agree(inspect(tap, state, growing), expected)


def test_rows_of_weight_zero_do_not_count_whatever_they_hold(net, tap, data, cut, at_once):
    images, targets = data
    weights = np.ones(70, np.float32)
    weights[::7] = 0
    spoilt = images.copy()
    y = targets.copy()
    spoilt[::7] = np.nan
    y[::7] = np.nan
    inspection = inspect(tap, nnx.state(net), cut(32, spoilt, y, weights))
    agree(inspection, at_once(rows=weights > 0))
    assert inspection.num_samples == 60
    assert not inspection.centered


@pytest.mark.parametrize("centered", [False, True])
def test_weights_count_rows_several_times(net, tap, data, cut, at_once, centered):
    weights = np.random.default_rng(2).integers(1, 4, 70)
    batches = cut(32, *data, weights)
    inspection = inspect(tap, nnx.state(net), batches, centered=centered)
    agree(inspection, at_once(rows=np.repeat(np.arange(70), weights), centered=centered))


def test_real_valued_targets_are_centred_by_default_and_the_inspection_says_so(
    net, data, cut, usual, at_once
):
    """One value that is no ±1 makes targets real-valued, also in the last batch."""
    images, targets = data
    y = targets.copy()
    y[-1, 0] = 0.5
    state = nnx.state(net)
    tap = ja.tap(net, "head")
    inspection = inspect(tap, state, cut(32, images, y))
    assert inspection.centered
    assert "means of features and targets are subtracted" in notes(inspection)[-1]
    expected = at_once(y, centered=True)
    agree(inspection, {name: expected[name] for name in ("input", "head")})
    assert not inspect(tap, state, cut(32, images, y), centered=False).centered
    assert not usual.centered
    assert "not centred" in notes(usual)[-1]


def test_constant_targets_have_nothing_about_their_mean(net, tap, data, cut):
    with pytest.raises(ValueError, match="targets are constant"):
        inspect(tap, nnx.state(net), cut(32, data[0], np.full((70, 3), 0.3)))


def test_one_program_for_all_batches(net, data, cut):
    def traces(batches) -> list[tuple[int, ...]]:
        shapes = []
        tap = ja.tap(net)

        def forward(state, x):
            shapes.append(x.shape)
            return tap(state, x)

        inspect(replace(tap, forward=forward), nnx.state(net), batches)
        return shapes

    # Two of the three are of shapes alone: the plan's and that of the sums' zeros.
    three = [(16, 4, 4, 1)] * 3
    assert traces(cut(16, *data)) == traces(cut(16, *(x[:32] for x in data))) == three


def test_the_stream_is_read_one_batch_ahead_at_most_and_reported(net, tap, data, cut):
    read = 0
    calls = []

    def batches():
        nonlocal read
        for batch in cut(10, *data):
            read += 1
            yield batch

    def callback(stage, done):
        calls.append((stage, done))
        if stage == "first pass":
            assert read == -(-done // 10)

    inspect(tap, nnx.state(net), batches(), callback=callback)
    first = [("first pass", n) for n in range(10, 71, 10)]
    assert calls == first + [("solving", n) for n in range(1, 5)]


@pytest.mark.slow
def test_several_arguments_and_integers(data):
    class Embedder(nnx.Module):
        def __init__(self):
            self.embed = nnx.Embed(7, 5, rngs=nnx.Rngs(0))
            self.pool = Pool()

        def __call__(self, ids, mask):
            return self.pool(self.embed(ids), mask)

    class Pool(nnx.Module):
        def __call__(self, x, mask):
            return (x * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)

    rng = np.random.default_rng(0)
    ids = rng.integers(0, 7, (70, 6))
    mask = (np.arange(6) < rng.integers(1, 7, (70, 1))).astype(np.float32)
    model = Embedder()
    targets = data[1]
    batches = [((ids[i : i + 32], mask[i : i + 32]), targets[i : i + 32]) for i in range(0, 70, 32)]
    inspection = inspect(ja.tap(model), nnx.state(model), batches)
    _, activations = ja.tap(model)(nnx.state(model), ids, mask)
    expected = {
        name: reference_of(ja.prepare(value, reduce="mean"), targets, False)
        for name, value in activations.items()
    }
    agree(inspection, expected)


@pytest.mark.slow
def test_refined_resolves_what_one_pass_cannot(cut):
    """σ of a layer at condition 1e9: float64 features, whose squares have lost the smallest one."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        features = rng.standard_normal((60, 4)) * [1, 1, 1, 1e-9]
        model = nnx.Sequential(
            lambda x: x, nnx.Linear(4, 1, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        )
        targets = rng.standard_normal((60, 1))
        batches = cut(25, features, targets)
        tap = ja.tap(model, at="input")
        # "auto" takes the second pass for float64 layers.
        inspection = inspect(tap, nnx.state(model), batches, centered=False)
        found = inspection.spectra["input"]
        u, sigma, _ = np.linalg.svd(np.asarray(ja.prepare(features)), full_matrices=False)
        np.testing.assert_allclose(found.singular_values, sigma, rtol=1e-6)
        np.testing.assert_allclose(found.energy, (u.T @ targets) ** 2, rtol=1e-5)
        assert found.route_name == "refined"
        once = inspect(tap, nnx.state(model), iter(batches), centered=False)
        assert once.spectra["input"].route_name == "moments"


def test_memory_is_asked_for_before_the_model_runs(net, tap, data, cut):
    with pytest.raises(
        ValueError, match=r"over the memory_limit of 1 KiB.*the largest is input, of d = 17"
    ):
        inspect(
            tap,
            nnx.state(net),
            cut(32, *data),
            memory_limit=1024,
            callback=lambda *_: pytest.fail("it ran"),
        )


def test_a_layer_that_breaks_is_named(net, tap, data, cut):
    state = jax.tree.map(jnp.asarray, nnx.state(net))
    state["norm"]["scale"][...] = jnp.full(3, jnp.inf)
    with pytest.raises(ValueError, match=r"layer norm yields NaN or Inf .*2 of 4 layers"):
        inspect(tap, state, cut(32, *data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: [], "at least one"),
        (
            lambda x, y: [(x, y[:5])],
            "batch 0: inputs, targets and weights must have as many rows, found 70, 5",
        ),
        (lambda x, y: [(x, y), (x[:, :3], y)], "batch 1: rows must have the shape"),
        (lambda x, y: [(x, y), (x, y[:, :2])], "batch 1: rows must have the shape"),
        (
            lambda x, y: [(np.where(x == x[3, 0, 0, 0], np.nan, x), y)],
            r"batch 0: inputs must be finite.*index \(3, 0, 0, 0\)",
        ),
        (lambda x, y: [(x, y, -np.ones(70))], "weights must be finite and not negative"),
        (lambda x, y: [(x, y, np.zeros(70))], "weights must not all be 0"),
        (lambda x, y: [(x, np.arange(70))], "encode_targets"),
    ],
)
def test_bad_batches(net, tap, data, change, message):
    with pytest.raises(ValueError, match=message):
        inspect(tap, nnx.state(net), change(*data))


def test_two_passes_need_what_can_be_read_twice(net, tap, data, cut):
    with pytest.raises(ValueError, match="found an iterator"):
        inspect(tap, nnx.state(net), iter(cut(32, *data)), method="refined")

    class Shrinking:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield from cut(32, *(x[: 72 - 2 * self.passes] for x in data))

    with pytest.raises(ValueError, match="found rows of weight 70 and then 68"):
        inspect(tap, nnx.state(net), Shrinking(), method="refined")


def test_methods_without_a_stream_are_refused(net, tap, data, cut):
    for method in ("svd", "quadrature"):
        with pytest.raises(ValueError, match=f"method .*{method}"):
            inspect(tap, nnx.state(net), cut(32, *data), method=method)


def test_the_numbers_are_those_of_the_measures(usual, at_once):
    tau = [0.5, 2.0]
    for name, row in numbers(usual, tau).items():
        e = at_once()[name]
        for area, shares, energy in (
            (row.area, row.alignment, e.energy),
            (row.null_area, row.null_alignment, e.null_energy),
        ):
            expected_shares, expected_area = e.shares(energy, tau)
            assert area == pytest.approx(expected_area, rel=1e-6)
            np.testing.assert_allclose(shares, expected_shares, rtol=1e-5)
        drawn = curves(usual, [0.0, *tau])[name]
        assert drawn.curve[0] == drawn.null_curve[0] == 1
        np.testing.assert_array_equal(drawn.curve[1:], row.alignment)
        np.testing.assert_array_equal(drawn.null_curve[1:], row.null_alignment)
        assert 1 <= row.aligned_rank <= usual.layers[name].width


@pytest.mark.slow
def test_the_null_is_what_random_targets_have(net, tap, data, cut):
    images, _ = data
    targets = np.random.default_rng(3).standard_normal((70, 400)).astype(np.float32)
    inspection = inspect(tap, nnx.state(net), cut(70, images, targets), centered=False)
    for row in numbers(inspection, [1.0]).values():
        assert row.area == pytest.approx(row.null_area, rel=0.1)
        assert row.alignment[0] == pytest.approx(row.null_alignment[0], rel=0.1)


def test_the_null_keeps_the_mean_of_the_targets(net, tap, data, cut):
    """Of unbalanced shuffled labels, which a null of random directions would call aligned."""
    rare = np.where(np.arange(70) < 7, 1.0, -1.0).astype(np.float32)
    rng = np.random.default_rng(4)
    y = np.stack([rng.permutation(rare) for _ in range(3)], axis=1)
    inspection = inspect(tap, nnx.state(net), cut(70, data[0], y))
    row = numbers(inspection, [5.0])["head"]
    isotropic = ja.isotropic_null(inspection.spectra["head"])
    assert row.alignment[0] == pytest.approx(row.null_alignment[0], rel=0.1)
    assert row.alignment[0] > 5 * float(ja.alignment_curve(isotropic, 5.0).mean()) / 70


def test_many_maps_are_named_in_short(usual):
    plan = LayerPlan((4, 4, 7), "float32", "mean", 1, 8)
    layers = OrderedDict((f"conv{i}", plan) for i in range(9))
    text = notes(replace(usual, layers=layers))[0]
    assert text.endswith("conv0, conv1, conv2 and 6 other layers.")


def test_thresholds_reach_the_largest_possible_sigma(usual):
    tau = usual.thresholds(11)
    assert (tau[0], tau[-1]) == (0, np.float32(70**0.5))
    assert all(s.singular_values[0] <= tau[-1] for s in usual.spectra.values())
