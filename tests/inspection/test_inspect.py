import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import inspect, numbers


def at_once(net, images, targets, *, reduce="mean", centered=False):
    _, activations = ja.tap(net)(nnx.state(net), images)
    found = {"input": ja.spectrum(ja.prepare(images), targets, method="svd", centered=centered)}
    for name, value in activations.items():
        phi = ja.prepare(value, reduce=reduce)
        found[name] = ja.spectrum(
            phi,
            np.repeat(targets, len(phi) // len(targets), axis=0),
            method="svd",
            centered=centered,
        )
    return found


def agree(found, expected, rtol=1e-6):
    assert list(found) == list(expected)
    for name, s in found.items():
        e = expected[name]
        np.testing.assert_allclose(
            s.singular_values, e.singular_values, rtol=rtol, atol=1e-6 * float(e.singular_values[0])
        )
        np.testing.assert_allclose(ja.alignment_area(s), ja.alignment_area(e), rtol=rtol)
        np.testing.assert_allclose(s.total, e.total, rtol=rtol)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("refined", [False, True])
def test_a_stream_equals_all_at_once(net, data, cut, centered, refined):
    found = inspect(ja.tap(net), nnx.state(net), cut(32, *data), centered=centered, refined=refined)
    agree(found.spectra, at_once(net, *data, centered=centered))
    assert found.samples == 70


@pytest.mark.parametrize("way", ["flatten", "samples", "cls"])
def test_every_reduction_equals_all_at_once(net, data, cut, way):
    found = inspect(ja.tap(net), nnx.state(net), cut(40, *data), reduce=way)
    agree(found.spectra, at_once(net, *data, reduce=way))
    assert found.rows("conv") == (70 * 16 if way == "samples" else 70)


def test_neither_order_nor_batch_size_matters(net, data, cut):
    state, tap = nnx.state(net), ja.tap(net)
    expected = inspect(tap, state, cut(70, *data)).spectra
    order = np.random.default_rng(1).permutation(70)
    agree(inspect(tap, state, cut(9, *(x[order] for x in data))).spectra, expected)
    growing = [tuple(x[a:b] for x in data) for a, b in ((0, 5), (5, 50), (50, 70))]
    agree(inspect(tap, state, growing).spectra, expected)


def test_rows_of_weight_zero_do_not_count_whatever_they_hold(net, data, cut):
    images, targets = data
    weights = np.ones(70, np.float32)
    weights[::7] = 0
    spoilt, y = images.copy(), targets.copy()
    spoilt[::7], y[::7] = np.nan, np.nan
    found = inspect(ja.tap(net), nnx.state(net), cut(32, spoilt, y, weights))
    kept = weights > 0
    agree(found.spectra, at_once(net, images[kept], targets[kept]))
    assert found.samples == 60


def test_weights_count_rows_several_times(net, data, cut):
    weights = np.random.default_rng(2).integers(1, 4, 70)
    found = inspect(ja.tap(net), nnx.state(net), cut(32, *data, weights))
    agree(found.spectra, at_once(net, *(np.repeat(x, weights, axis=0) for x in data)))


def test_one_program_for_all_batches(net, data, cut):
    def traces(batches) -> list[tuple[int, ...]]:
        seen = []
        tap = ja.tap(net)

        def forward(state, x):
            seen.append(x.shape)
            return tap(state, x)

        inspect(forward, nnx.state(net), batches)
        return seen

    assert (
        traces(cut(16, *data)) == traces(cut(16, *(x[:32] for x in data))) == [(16, 4, 4, 1)] * 3
    )  # two of shapes alone


def test_the_stream_is_read_one_batch_ahead_at_most_and_told(net, data, cut):
    read, told = 0, []

    def batches():
        nonlocal read
        for batch in cut(10, *data):
            read += 1
            yield batch

    def observe(stage, done):
        told.append((stage, done))
        if stage == "first pass":
            assert read == -(-done // 10)

    inspect(ja.tap(net), nnx.state(net), batches(), callback=observe)
    assert told == [("first pass", n) for n in range(10, 71, 10)] + [
        ("solving", n) for n in range(1, 5)
    ]


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
    ids, mask = (
        rng.integers(0, 7, (70, 6)),
        (np.arange(6) < rng.integers(1, 7, (70, 1))).astype(np.float32),
    )
    model, targets = Embedder(), data[1]
    batches = [((ids[i : i + 32], mask[i : i + 32]), targets[i : i + 32]) for i in range(0, 70, 32)]
    found = inspect(ja.tap(model), nnx.state(model), batches)
    _, activations = ja.tap(model)(nnx.state(model), ids, mask)
    agree(
        found.spectra,
        {
            n: ja.spectrum(ja.prepare(a, reduce="mean"), targets, method="svd")
            for n, a in activations.items()
        },
    )


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
        found = inspect(ja.tap(model, at="input"), nnx.state(model), batches, refined=True).spectra[
            "input"
        ]
        expected = ja.spectrum(ja.prepare(features), targets, method="svd")
        np.testing.assert_allclose(found.singular_values, expected.singular_values, rtol=1e-6)
        np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-5)


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
        inspect(ja.tap(net), nnx.state(net), iter(cut(32, *data)), refined=True)

    class Shrinking:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield from cut(32, *(x[: 72 - 2 * self.passes] for x in data))

    with pytest.raises(ValueError, match="found rows of weight 70 and then 68"):
        inspect(ja.tap(net), nnx.state(net), Shrinking(), refined=True)


def test_the_numbers_are_those_of_the_measures(net, data, cut):
    found = inspect(ja.tap(net), nnx.state(net), cut(32, *data))
    expected = at_once(net, *data)
    for name, row in numbers(found, [0.0, 2.0]).items():
        s = expected[name]
        total = float(s.total.sum())
        assert row.area == pytest.approx(float(ja.alignment_area(s).sum()) / total, rel=1e-6)
        np.testing.assert_allclose(
            row.alignment,
            np.asarray(ja.alignment_curve(s, [0.0, 2.0])).sum(axis=1) / total,
            rtol=1e-5,
        )
        null = np.asarray(ja.random_label_curve(s, [0.0, 2.0], 70)).sum(axis=1) / total
        np.testing.assert_allclose(row.chance, null, rtol=1e-5)
        assert 1 <= row.aligned_rank <= found.layers[name].width


def test_chance_is_what_random_targets_have(net, data, cut):
    images, _ = data
    targets = np.random.default_rng(3).standard_normal((70, 400)).astype(np.float32)
    for row in numbers(
        inspect(ja.tap(net), nnx.state(net), cut(70, images, targets)), [1.0]
    ).values():
        assert row.area == pytest.approx(row.chance_area, rel=0.1)
        assert row.alignment[0] == pytest.approx(row.chance[0], rel=0.1)


def test_thresholds_reach_the_largest_possible_sigma(net, data, cut):
    found = inspect(ja.tap(net), nnx.state(net), cut(32, *data))
    tau = found.thresholds(11)
    assert (tau[0], tau[-1]) == (0, np.float32(70**0.5))
    assert all(s.singular_values[0] <= tau[-1] for s in found.spectra.values())
