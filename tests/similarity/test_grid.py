from functools import partial

import numpy as np
import pytest

from jaxalign import similarity
from jaxalign.similarity import _once
from jaxalign.similarity._once import once_for


@pytest.fixture(scope="module")
def layers():
    """Two layers of one model, one of them wide, and two of another one: float32, n = 30."""
    rng = np.random.default_rng(0)
    xs = {f"x{d}": rng.standard_normal((30, d)).astype(np.float32) for d in (3, 40)}
    ys = {"near": xs["x3"] + 1e3, "far": np.tanh(xs["x3"]) + rng.standard_normal((30, 3))}
    return xs, {name: y.astype(np.float32) for name, y in ys.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    ["debiased", *(pytest.param(e, marks=pytest.mark.slow) for e in ("biased", "lange"))],
)
def test_a_grid_and_its_null_are_those_of_each_pair(layers, estimator):
    xs, ys = layers
    values, null = similarity.grid_and_null(xs, ys, estimator=estimator)
    alone = similarity.grid(xs, ys, partial(similarity.linear_cka, estimator=estimator))
    np.testing.assert_array_equal(values, alone)
    for i, j in ((0, 1), (1, 0)):
        moments = similarity.pair_moments([*xs.values()][i], [*ys.values()][j])
        expected = similarity.linear_cka_null(moments, estimator=estimator)
        value = similarity.linear_cka(moments, estimator=estimator)
        found = values[i, j], *(each[i, j] for each in null)
        np.testing.assert_allclose(found, [value, *expected], rtol=2e-5, atol=1e-6)


def test_sums_of_a_grid_are_the_pair_moments_of_each_pair(layers):
    xs, ys = layers
    sums = similarity.GridMoments(
        *({name: x.shape[1] for name, x in side.items()} for side in (xs, ys))
    )
    for rows in (slice(0, 7), slice(7, 30)):
        sums.add(*({name: x[rows] for name, x in side.items()} for side in (xs, ys)))
    assert sums.layers == (list(xs), list(ys))
    x, y = xs["x3"], ys["near"]
    pair = sums.pair("x3", "near")
    assert pair.num_samples == 30
    assert pair.widths == (3, 3)
    expected = similarity.pair_moments(x, y, pivot=pair.pivot)
    np.testing.assert_allclose(pair.products, expected.products, rtol=1e-12, atol=1e-9)
    # A mean of 1e3 costs no digits, and merging with other pair moments is allowed.
    np.testing.assert_allclose(
        similarity.linear_cka(pair, estimator="debiased"),
        similarity.linear_cka(x, y, estimator="debiased"),
        rtol=1e-5,
    )
    assert (pair + similarity.pair_moments(x, y)).num_samples == 60


def test_batches_of_other_layers_or_rows_are_refused(layers):
    sums = similarity.GridMoments({"a": 3}, {"b": 3})
    x = layers[0]["x3"]
    for xs, ys in (({"a": x}, {"b": x[:7]}), ({"c": x}, {"b": x}), ({"a": x[:, :2]}, {"b": x})):
        with pytest.raises(ValueError, match="layers must be"):
            sums.add(xs, ys)


def test_values_whose_fourth_powers_overflow_are_refused():
    sums = similarity.GridMoments({"a": 2}, {"b": 2})
    large = np.full((3, 2), 1e200) * np.arange(3)[:, None]
    with pytest.raises(ValueError, match=r"b must have fourth powers within float64.*divide b by"):
        sums.add({"a": np.ones((3, 2))}, {"b": large})


def test_memory_counts_each_sum_once():
    widths = {"a": 10, "b": 20}
    assert similarity.GridMoments.memory(widths, {"c": 5}) == 8 * (33 * 7 + 12**2 + 22**2 + 7**2)


def test_a_grid_without_enough_rows_is_refused(layers):
    few = {name: x[:3] for name, x in layers[0].items()}
    with pytest.raises(ValueError, match="at least 4 rows for this measure, found 3"):
        similarity.grid_and_null(few, few)


def test_neighbours_that_are_equally_near_are_the_same_as_of_one_pair(rng):
    xs = list(rng.integers(-1, 2, (2, 30, 2)).astype(np.float32))
    measure = partial(similarity.mutual_knn, k=5)
    expected = [[measure(x, y) for y in xs] for x in xs]
    np.testing.assert_array_equal(similarity.grid(xs, xs, measure), expected)


@pytest.mark.parametrize(
    "measure",
    [
        partial(similarity.mutual_knn, k=4),
        similarity.bures_similarity,
        *(
            pytest.param(measure, marks=pytest.mark.slow)
            for measure in (
                similarity.mean_cca,
                similarity.mean_squared_cca,
                similarity.mean_squared_cca_chance,
                partial(similarity.svcca, variance=0.7),
                similarity.svcca,
                similarity.pwcca,
                similarity.procrustes_distance,
                similarity.angular_procrustes_distance,
                similarity.rbf_cka,
                partial(similarity.rbf_cka, bandwidth=0.5, estimator="debiased"),
                partial(similarity.rbf_cka, bandwidth=2.0, relative=False),
                partial(similarity.cknna, k=4),
                partial(similarity.rsa, compare="spearman"),
            )
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::jaxalign.similarity.SimilarityWarning")
def test_what_is_computed_once_gives_what_each_pair_gives(layers, measure):
    xs = {**layers[0], "constant": np.ones((30, 3), np.float32)}
    twice = xs["x3"][:, [0, 1, 1]]  # of rank 2
    ys = {"near": layers[1]["near"], "twice": twice, "wide": xs["x40"]}
    assert once_for(measure, [*xs.values(), *ys.values()]) is not None
    values = similarity.grid(xs, ys, measure)
    expected = np.array([[measure(x, y) for y in ys.values()] for x in xs.values()])
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("bandwidth", [{}, {"bandwidth": 2, "relative": False}])
@pytest.mark.filterwarnings("ignore::jaxalign.similarity.SimilarityWarning")
def test_kernels_that_do_not_fit_in_memory_take_their_bandwidth_once(
    layers, bandwidth, monkeypatch
):
    monkeypatch.setattr(_once, "_KERNELS", 0)
    measure = partial(similarity.rbf_cka, **bandwidth)
    test_what_is_computed_once_gives_what_each_pair_gives(layers, measure)
    assert once_for(partial(similarity.rsa, compare="spearman"), layers[0].values()) is None


def test_what_a_pair_refuses_a_grid_refuses(layers):
    xs, _ = layers
    broken = {"x": xs["x3"], "nan": np.where(xs["x3"] > 2, np.nan, xs["x3"])}
    with pytest.raises(ValueError, match="must be finite"):
        similarity.grid(xs, broken, similarity.mean_cca)
    with pytest.raises(ValueError, match="30 rows in x and 29 in y"):
        similarity.grid(xs, {"a": xs["x3"], "b": xs["x3"][:29]}, similarity.bures_similarity)
    with pytest.raises(ValueError, match="k must be below the number of rows"):
        similarity.grid(xs, xs, partial(similarity.mutual_knn, k=30))
