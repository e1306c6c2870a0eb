from functools import partial

import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign import similarity
from jaxalign.comparison import Measure, ModelLayers, SavedLayers, compare, not_above_chance
from jaxalign.comparison._alignment import area_difference
from jaxalign.comparison._layers import in_blocks

KNN = Measure(
    partial(similarity.mutual_knn, k=5),
    "neighbours",
    least=6,
    chance=lambda x, y: similarity.mutual_knn_chance(len(x), k=5),
)
ANGLE = Measure(similarity.angular_procrustes_distance, "angle", of_moments=True, is_distance=True)


@pytest.fixture(scope="module")
def found(sides, targets):
    """Both sides by the default measure, with targets."""
    return compare(*sides, targets=targets)


@pytest.fixture
def from_sums(monkeypatch):
    """Rows are as if they took more memory than sums."""
    monkeypatch.setattr("jaxalign.comparison._room._BYTES_OF_ROWS", 10**6)
    return partial(compare, memory_limit=1e12)


@pytest.mark.slow
def test_values_are_those_of_the_measure_and_noise_is_marked(found, layers):
    values = found.pairs.values
    x, y = layers[0]["noise"], layers[1]["known"]
    expected = similarity.linear_cka(x, y, estimator="debiased")
    np.testing.assert_allclose(values[1, 0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values[0, 0], 1, rtol=1e-5)  # a rotation and a shift
    assert np.isnan(values[2]).all()
    assert not_above_chance(found).tolist() == [[False, False], [True, True], [True, True]]


def test_sums_give_what_rows_give(from_sums, layers, as_side, targets):
    # All of one width, which is one program.
    sides = as_side(layers[0]), as_side({"known": layers[1]["known"]})
    found = compare(*sides, targets=targets)
    by_sums = from_sums(*sides, targets=targets)
    np.testing.assert_allclose(by_sums.pairs.values, found.pairs.values, rtol=1e-4, atol=1e-5)
    for a, b in zip(by_sums.pairs.chance, found.pairs.chance, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    for of_sums, of_rows in zip(by_sums.alignments, found.alignments, strict=True):
        assert list(of_sums) == list(of_rows)
        for name, row in of_rows.items():
            np.testing.assert_allclose(of_sums[name].area, row.area, rtol=1e-5)
            np.testing.assert_allclose(of_sums[name].null_area, row.null_area, rtol=1e-5)
    assert by_sums.differences == found.differences


def test_alignment_is_that_of_the_library_and_its_difference_has_an_interval(
    found, layers, targets
):
    expected = ja.spectrum(ja.prepare(layers[1]["known"]), targets, method="svd")
    area = float(ja.alignment_area(expected)[0]) / len(targets)
    np.testing.assert_allclose(found.alignments[1]["known"].area, area, rtol=1e-5)
    (difference,) = found.differences
    areas = [
        of_side[name].area
        for of_side, name in zip(
            found.alignments, (difference.first, difference.second), strict=True
        )
    ]
    # A constant is aligned with the mean of the targets and knows nothing.
    assert difference.first == "known"
    np.testing.assert_allclose(difference.value, areas[1] - areas[0], rtol=1e-4, atol=1e-5)
    assert difference.low < difference.value < difference.high


def test_a_wide_layer_has_the_interval_of_all_its_columns(sides, layers, targets, as_side):
    """Rotated into the span of its rows, and so padded with columns of zeros, it is the same."""
    wide = layers[1]["wide"]
    left, sigma, _ = np.linalg.svd(wide, full_matrices=False)
    narrow = np.pad(left[:, :3] * sigma[:3], ((0, 0), (0, 37))).astype(np.float32)
    settings = {"centered": False, "seed": 3}
    of_wide, of_narrow = (
        area_difference((sides[0], "known"), (as_side({"b": x}), "b"), targets, **settings)
        for x in (wide, narrow)
    )
    np.testing.assert_allclose(of_wide[2:], of_narrow[2:], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_named_layers_have_intervals_of_their_own(sides, targets):
    found = compare(*sides, targets=targets, intervals="named")
    assert [(each.first, each.second) for each in found.differences] == [("known", "known")]
    assert compare(*sides, targets=targets, intervals="none").differences == ()


@pytest.mark.slow
def test_permutations_tell_chance_of_any_measure(sides):
    found = compare(*sides, ANGLE, permutations=19, seed=1)
    p_values = found.pairs.chance.p_value
    np.testing.assert_allclose(p_values[0], 1 / 20)  # less is more alike
    assert (p_values[1] > 0.1).all()
    assert np.isnan(p_values[2]).all()
    again = compare(*sides, ANGLE, permutations=19, seed=1)
    np.testing.assert_array_equal(p_values, again.pairs.chance.p_value)
    assert compare(*sides, ANGLE).pairs.chance is None
    assert not_above_chance(compare(*sides, ANGLE)) is None


def test_a_mean_by_chance_is_shown_where_it_has_a_closed_form(sides):
    found = compare(*sides, KNN)
    np.testing.assert_allclose(found.pairs.chance.mean, 5 / 29)
    assert found.pairs.chance.p_value is None
    assert not not_above_chance(found)[0].any()


def test_a_side_with_itself_is_read_once_and_its_own_likeness(layers, as_side):
    side = as_side({name: layers[0][name] for name in ("known", "noise")})
    values = compare(side, side).pairs.values
    np.testing.assert_allclose(np.diagonal(values), 1, rtol=1e-5)
    np.testing.assert_allclose(values, values.T, rtol=1e-5)


def test_models_are_their_activations(as_side):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((30, 6, 6, 2)).astype(np.float32)
    model = nnx.Sequential(nnx.Conv(2, 3, (3, 3), rngs=nnx.Rngs(0)), nnx.relu)
    tap = ja.tap(model)
    state = nnx.state(model)
    batches = [(inputs[i : i + 16], np.ones((len(inputs[i : i + 16]), 1))) for i in (0, 16)]
    side = ModelLayers(tap, state, batches, 30)
    assert {name: shape.width for name, shape in side.shapes.items()} == {"layers.0": 3}
    _, activations = tap(state, inputs)
    expected = np.asarray(activations["layers.0"]).mean(axis=(1, 2))
    rows = np.concatenate([rows["layers.0"] for rows in side.batches(["layers.0"])])
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(compare(side, as_side({"saved": expected})).pairs.values, 1)
    with pytest.raises(ValueError, match="batches must hold 31 rows, found 30"):
        compare(*[ModelLayers(tap, state, batches, 31)] * 2)
    with pytest.raises(ValueError, match="two models do not share"):
        ModelLayers(tap, state, batches, 30, reduce="samples")


@pytest.mark.parametrize("reduce", ["mean", "flatten", "cls"])
def test_padding_leaves_no_trace_in_the_rows_of_a_model(reduce):
    tokens = np.random.default_rng(0).integers(1, 9, (5, 6)).astype(np.int32)
    other = tokens.copy()
    tokens[3:, 4:], other[3:, 4:] = 0, 9
    model = nnx.Sequential(nnx.Embed(10, 3, rngs=nnx.Rngs(0)))
    tap, state = ja.tap(model), nnx.state(model)

    def rows(inputs, mask):
        batches = [(inputs[:4], np.ones((4, 1))), (inputs[4:], np.ones((1, 1)))]
        side = ModelLayers(tap, state, batches, 5, reduce=reduce, mask=mask)
        return side.matrix(next(iter(side.shapes)))

    masked = rows(tokens, lambda x: x != 0)
    np.testing.assert_array_equal(masked, rows(other, lambda x: x != 9))
    values = np.asarray(model(tokens))
    for i, length in enumerate([6, 6, 6, 4, 4]):
        alone = np.pad(values[i : i + 1, :length], ((0, 0), (0, 6 - length), (0, 0)))
        if reduce == "mean":
            alone = values[i : i + 1, :length]
        np.testing.assert_allclose(masked[i], ja.pool(alone, reduce=reduce)[0], rtol=1e-5)
    with pytest.raises(TypeError, match="mask must be a function"):
        rows(tokens, tokens != 0)


@pytest.mark.parametrize(
    ("first", "second", "settings", "message"),
    [
        ((30, 3), (29, 3), {}, "found 30 rows in the first and 29 in the second"),
        ((3, 3), (3, 3), {}, "linear CKA, debiased needs at least 4 rows, found 3"),
        ((5, 3), (5, 3), {"measure": KNN}, "neighbours needs at least 6 rows, found 5"),
        ((30, 3), (30, 3), {"targets": np.ones((29, 1))}, "found 29 of 30"),
        # 1000 maps of 112 × 112 × 64 as float32 are 3.2 GB; nothing is read.
        (
            (1000, 112, 112, 64),
            (1000, 8),
            {"measure": KNN},
            r"112×112×64, 802,816 columns\): its rows alone are 3.2 GB. Choose reduce mean for 64",
        ),
    ],
)
def test_what_is_refused_before_anything_is_read(first, second, settings, message):
    sides = [SavedLayers({}, {"a": shape}, reduce="flatten") for shape in (first, second)]
    with pytest.raises(ValueError, match=message):
        compare(*sides, **settings)


def test_distances_beyond_float32_are_refused(layers, as_side):
    large = as_side({"a": layers[0]["known"] * np.float32(1e25)})
    distance = Measure(similarity.procrustes_distance, "distance", is_distance=True)
    with pytest.raises(ValueError, match="distance is beyond float32 for some pairs; divide"):
        compare(large, as_side({"b": layers[0]["noise"]}), distance)


def test_layers_that_hold_nan_or_other_rows_are_named(layers, as_side):
    broken = np.where(np.arange(30)[:, None] == 7, np.nan, layers[0]["known"])
    with pytest.raises(ValueError, match="layer b holds NaN or Inf in 1 of 30 rows"):
        compare(as_side({"b": broken}), as_side({"b": layers[0]["known"]}))
    with pytest.raises(ValueError, match="30 rows in a and 29 in b"):
        as_side({"a": np.ones((30, 2)), "b": np.ones((29, 2))})
    with pytest.raises(ValueError, match="there is no layer to compare"):
        as_side({})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": np.ones(30, np.float32), "centered": True}, "about their mean they are 0"),
        ({"targets": np.zeros((30, 2), np.float32), "centered": False}, "targets are all 0"),
        ({"targets": np.full(30, np.nan)}, "targets must be finite"),
        ({"targets": np.ones((29, 2))}, "a row for each sample, found 29"),
        ({"centered": "no"}, "centered must be True or False"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"memory_limit": float("nan")}, "memory_limit must be a positive number"),
        ({"callback": 3}, "callback must be a function"),
        ({"intervals": "named"}, "for layers of one name, found none in a and b"),
        ({"second": np.ones((30, 2))}, "second must be a LayerSource"),
        ({"second": {"b": np.ones((30, 3))}}, r"must have the shape \(30, 2\), found \(30, 3\)"),
        ({"second": {"c": np.ones((30, 2))}}, "must hold the layer 'b' of shapes, found c"),
        ({"second": {"b": [["?"] * 2] * 30}}, "layer b must be an array of numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings, message):
    rows = np.random.default_rng(0).standard_normal((30, 2))
    first = SavedLayers({"a": rows}, {"a": rows.shape})
    second = settings.pop("second", {"b": rows.tolist()})
    if isinstance(second, dict):
        second = SavedLayers(second, {"b": (30, 2)})
    with pytest.raises((TypeError, ValueError), match=message):
        compare(first, second, **settings)


@pytest.mark.parametrize("sizes", [(1, 200, 99), (300,), (128, 172), (100, 100, 100)])
def test_blocks_have_one_size_whatever_the_batches(sizes):
    rows = np.arange(300.0)[:, None]

    class Batches(SavedLayers):
        def batches(self, names):
            start = 0
            for size in sizes:
                yield {"a": rows[start : start + size]}
                start += size

    blocks = [block["a"] for block in in_blocks(Batches({}, {"a": (300, 1)}))]
    assert [len(block) for block in blocks] == [128, 128, 44]
    np.testing.assert_array_equal(np.concatenate(blocks), rows)
