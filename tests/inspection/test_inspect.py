import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.alignment import spectrum_and_null
from jaxalign.inspection import LayerPlan, curves, inspect, notes, numbers


def at_once(net, images, targets, *, reduce="mean", centered=False):
    """Layer → the spectrum of all rows by an SVD, and its permutation null."""
    _, activations = ja.tap(net)(nnx.state(net), images)
    matrices = {"input": ja.prepare(images)}
    for name, value in activations.items():
        matrices[name] = ja.prepare(value, reduce=reduce)
    pairs = {}
    for name, phi in matrices.items():
        y = np.repeat(targets, len(phi) // len(targets), axis=0)
        pairs[name] = spectrum_and_null(phi, y, method="svd", centered=centered)
    return pairs


@pytest.fixture(scope="module")
def expected(net, data):
    return at_once(net, *data)


def agree(inspection, expected, rtol=1e-6):
    """Spectra and nulls agree with pairs of them."""
    assert list(inspection.spectra) == list(inspection.nulls) == list(expected)
    for name, pair in expected.items():
        for s, e in zip((inspection.spectra[name], inspection.nulls[name]), pair, strict=True):
            largest = float(e.singular_values[0])
            np.testing.assert_allclose(
                s.singular_values, e.singular_values, rtol=rtol, atol=1e-6 * largest
            )
            np.testing.assert_allclose(ja.alignment_area(s), ja.alignment_area(e), rtol=rtol)
            np.testing.assert_allclose(s.total, e.total, rtol=rtol)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("method", ["moments", "refined"])
def test_a_stream_equals_all_at_once(net, data, cut, centered, method):
    inspection = inspect(
        ja.tap(net), nnx.state(net), cut(32, *data), centered=centered, method=method
    )
    agree(inspection, at_once(net, *data, centered=centered))
    assert inspection.num_samples == 70
    assert inspection.centered == centered


@pytest.mark.parametrize("way", ["flatten", "samples", "cls"])
def test_every_reduction_equals_all_at_once(net, data, cut, way):
    inspection = inspect(ja.tap(net), nnx.state(net), cut(40, *data), reduce=way)
    agree(inspection, at_once(net, *data, reduce=way))
    assert inspection.rows("conv") == (70 * 16 if way == "samples" else 70)
    note = notes(inspection)[-2]
    assert f'(reduce="{way}")' in note
    assert note.endswith(": conv, norm." if way != "flatten" else ": input, conv, norm.")


def test_neither_order_nor_batch_size_matters(net, data, cut, expected):
    state = nnx.state(net)
    tap = ja.tap(net)
    order = np.random.default_rng(1).permutation(70)
    agree(inspect(tap, state, cut(9, *(x[order] for x in data))), expected)
    growing = [tuple(x[a:b] for x in data) for a, b in ((0, 5), (5, 50), (50, 70))]
    agree(inspect(tap, state, growing), expected)


def test_rows_of_weight_zero_do_not_count_whatever_they_hold(net, data, cut):
    images, targets = data
    weights = np.ones(70, np.float32)
    weights[::7] = 0
    spoilt = images.copy()
    y = targets.copy()
    spoilt[::7] = np.nan
    y[::7] = np.nan
    inspection = inspect(ja.tap(net), nnx.state(net), cut(32, spoilt, y, weights))
    kept = weights > 0
    agree(inspection, at_once(net, images[kept], targets[kept]))
    assert inspection.num_samples == 60
    assert not inspection.centered


@pytest.mark.parametrize("centered", [False, True])
def test_weights_count_rows_several_times(net, data, cut, centered):
    weights = np.random.default_rng(2).integers(1, 4, 70)
    batches = cut(32, *data, weights)
    inspection = inspect(ja.tap(net), nnx.state(net), batches, centered=centered)
    repeated = [np.repeat(x, weights, axis=0) for x in data]
    agree(inspection, at_once(net, *repeated, centered=centered))


def test_real_valued_targets_are_centred_by_default_and_the_inspection_says_so(
    net, data, cut, usual
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
    agree_at_head = at_once(net, images, y, centered=True)
    agree(inspection, {name: agree_at_head[name] for name in ("input", "head")})
    assert not inspect(tap, state, cut(32, images, y), centered=False).centered
    assert not usual.centered
    assert "not centred" in notes(usual)[-1]


def test_constant_targets_have_nothing_about_their_mean(net, data, cut):
    with pytest.raises(ValueError, match="targets are constant"):
        inspect(ja.tap(net), nnx.state(net), cut(32, data[0], np.full((70, 1), 0.3)))


def test_one_program_for_all_batches(net, data, cut):
    def traces(batches) -> list[tuple[int, ...]]:
        shapes = []
        tap = ja.tap(net)

        def forward(state, x):
            shapes.append(x.shape)
            return tap(state, x)

        inspect(forward, nnx.state(net), batches)
        return shapes

    # Two of the three are of shapes alone: the plan's and that of the sums' zeros.
    three = [(16, 4, 4, 1)] * 3
    assert traces(cut(16, *data)) == traces(cut(16, *(x[:32] for x in data))) == three


def test_the_stream_is_read_one_batch_ahead_at_most_and_reported(net, data, cut):
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

    inspect(ja.tap(net), nnx.state(net), batches(), callback=callback)
    first = [("first pass", n) for n in range(10, 71, 10)]
    assert calls == first + [("solving", n) for n in range(1, 5)]


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
    pairs = {
        name: spectrum_and_null(ja.prepare(value, reduce="mean"), targets, method="svd")
        for name, value in activations.items()
    }
    agree(inspection, pairs)


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
        expected = ja.spectrum(ja.prepare(features), targets, method="svd")
        np.testing.assert_allclose(found.singular_values, expected.singular_values, rtol=1e-6)
        np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-5)
        assert found.route_name == "refined"
        once = inspect(tap, nnx.state(model), iter(batches), centered=False)
        assert once.spectra["input"].route_name == "moments"


def test_memory_is_asked_for_before_the_model_runs(net, data, cut):
    with pytest.raises(
        ValueError, match=r"over the memory_limit of 1 KiB.*the largest is input, of d = 17"
    ):
        inspect(
            ja.tap(net),
            nnx.state(net),
            cut(32, *data),
            memory_limit=1024,
            callback=lambda *_: pytest.fail("it ran"),
        )


def test_a_layer_that_breaks_is_named(net, data, cut):
    state = jax.tree.map(jnp.asarray, nnx.state(net))
    state["norm"]["scale"][...] = jnp.full(3, jnp.inf)
    with pytest.raises(ValueError, match=r"layer norm yields NaN or Inf .*2 of 4 layers"):
        inspect(ja.tap(net), state, cut(32, *data))


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
def test_bad_batches(net, data, change, message):
    with pytest.raises(ValueError, match=message):
        inspect(ja.tap(net), nnx.state(net), change(*data))


def test_two_passes_need_what_can_be_read_twice(net, data, cut):
    with pytest.raises(ValueError, match="found an iterator"):
        inspect(ja.tap(net), nnx.state(net), iter(cut(32, *data)), method="refined")

    class Shrinking:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield from cut(32, *(x[: 72 - 2 * self.passes] for x in data))

    with pytest.raises(ValueError, match="found rows of weight 70 and then 68"):
        inspect(ja.tap(net), nnx.state(net), Shrinking(), method="refined")


def test_methods_without_a_stream_are_refused(net, data, cut):
    for method in ("svd", "quadrature"):
        with pytest.raises(ValueError, match=f"method .*{method}"):
            inspect(ja.tap(net), nnx.state(net), cut(32, *data), method=method)


def test_the_numbers_are_those_of_the_measures(usual, expected):
    tau = [0.0, 2.0]
    for name, row in numbers(usual, tau).items():
        s, null = expected[name]
        total = float(s.total.sum())
        assert row.area == pytest.approx(float(ja.alignment_area(s).sum()) / total, rel=1e-6)
        assert row.null_area == pytest.approx(
            float(ja.alignment_area(null).sum()) / total, rel=1e-6
        )
        for shares, spectrum in ((row.alignment, s), (row.null_alignment, null)):
            curve = np.asarray(ja.alignment_curve(spectrum, tau)).sum(axis=1) / total
            np.testing.assert_allclose(shares, curve, rtol=1e-5)
        drawn = curves(usual, tau)[name]
        np.testing.assert_array_equal(drawn.curve, row.alignment)
        np.testing.assert_array_equal(drawn.null_curve, row.null_alignment)
        assert 1 <= row.aligned_rank <= usual.layers[name].width


def test_the_null_is_what_random_targets_have(net, data, cut):
    images, _ = data
    targets = np.random.default_rng(3).standard_normal((70, 400)).astype(np.float32)
    inspection = inspect(ja.tap(net), nnx.state(net), cut(70, images, targets), centered=False)
    for row in numbers(inspection, [1.0]).values():
        assert row.area == pytest.approx(row.null_area, rel=0.1)
        assert row.alignment[0] == pytest.approx(row.null_alignment[0], rel=0.1)


def test_the_null_keeps_the_mean_of_the_targets(net, data, cut):
    """Of unbalanced shuffled labels, which a null of random directions would call aligned."""
    y = np.where(np.arange(70) < 7, 1.0, -1.0)[:, None].astype(np.float32)
    y = y[np.random.default_rng(4).permutation(70)]
    inspection = inspect(ja.tap(net, "head"), nnx.state(net), cut(70, data[0], y))
    row = numbers(inspection, [5.0])["head"]
    isotropic = ja.alignment_curve(ja.isotropic_null(inspection.spectra["head"]), 5.0) / 70
    assert row.alignment[0] == pytest.approx(row.null_alignment[0], rel=0.1)
    assert row.alignment[0] > 5 * float(isotropic[0])


def test_many_maps_are_named_in_short(usual):
    plan = LayerPlan((4, 4, 7), "float32", "mean", 1, 8)
    layers = {f"conv{i}": plan for i in range(9)}
    text = notes(type(usual)({}, {}, layers, {}, 70.0))[0]
    assert text.endswith("conv0, conv1, conv2 and 6 other layers.")


def test_thresholds_reach_the_largest_possible_sigma(usual):
    tau = usual.thresholds(11)
    assert (tau[0], tau[-1]) == (0, np.float32(70**0.5))
    assert all(s.singular_values[0] <= tau[-1] for s in usual.spectra.values())
