"""CKA from some columns: unbiased over all samples, with an honest error, and exact from all."""

from functools import partial
from itertools import combinations

import jax
import numpy as np
import pytest

from jaxalign import similarity
from jaxalign.similarity import _columns, sampled_linear_cka

KEY = jax.random.key(0)


ESTIMATORS = [
    "debiased",
    pytest.param("biased", marks=pytest.mark.slow),
    pytest.param("lange", marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_means_over_all_samples_are_those_of_all_columns(rng, hsic_by_definition, estimator):
    with jax.enable_x64(True):
        x, y = rng.standard_normal((7, 5)), rng.standard_normal((7, 4))
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        samples = [np.array(list(combinations(range(w), m))) for w, m in ((5, 3), (4, 2))]
        xs, ys = (np.moveaxis(part[:, s], 1, 0) for part, s in zip((x, y), samples, strict=True))
        own = jax.vmap(lambda x: _columns._unbiased(_columns._own(x, estimator), 5))(xs)
        of_pair = partial(_columns._with_kernel, estimator=estimator)
        both = jax.vmap(jax.vmap(of_pair, (None, 0)), (0, None))(xs, ys)
    own, both = np.asarray(own), np.asarray(both).sum(axis=-1) * 5 / 3 * 4 / 2
    k, l = x @ x.T, y @ y.T  # noqa: E741
    np.testing.assert_allclose(own.mean(), hsic_by_definition(k, k, estimator), rtol=1e-9)
    np.testing.assert_allclose(
        both.mean(), hsic_by_definition(k, l, estimator), rtol=1e-9, atol=1e-12
    )


def wide(rng, n=30, width=400):
    """Columns of unequal sizes, as those of maps are."""
    shared = rng.standard_normal((n, 6))
    sizes = rng.gamma(4.0, size=width)
    return (shared @ rng.standard_normal((6, width)) + rng.standard_normal((n, width))) * sizes


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["debiased", "biased"])
def test_the_error_is_the_deviation_over_draws(rng, estimator):
    x, y = wide(rng).astype(np.float32), wide(rng).astype(np.float32)
    y[:, :200] = x[:, :200]
    draw = jax.vmap(lambda key: sampled_linear_cka(x, y, columns=60, key=key, estimator=estimator))
    found = draw(jax.random.split(KEY, 300))
    whole = similarity.linear_cka(x, y, estimator=estimator)
    deviation = found.value.std()
    assert abs(found.value.mean() - whole) < 0.25 * deviation
    assert 0.9 < np.mean(found.standard_error) / deviation < 1.25
    is_covered = np.abs(found.value - whole) < 1.96 * found.standard_error
    assert 0.9 < is_covered.mean() < 0.99


def test_all_columns_give_linear_cka_without_an_error(rng):
    x, y = rng.standard_normal((12, 20)), rng.standard_normal((12, 3))
    found = sampled_linear_cka(x, y, columns=20, key=KEY, estimator="debiased")
    np.testing.assert_allclose(
        found.value, similarity.linear_cka(x, y, estimator="debiased"), rtol=1e-6
    )
    assert found.standard_error == 0


def test_a_sample_that_is_too_small_is_refused_and_a_constant_is_nan(rng):
    x = wide(rng, width=50)
    with pytest.raises(ValueError, match=r"columns must be at least 20 .* found 19"):
        sampled_linear_cka(x, x, columns=19, key=KEY)
    with pytest.raises(ValueError, match="same rows"):
        sampled_linear_cka(x, x[:9], columns=20, key=KEY)
    with pytest.raises(TypeError, match="key must be one key of jax"):
        sampled_linear_cka(x, x, columns=20, key=0)
    with pytest.warns(similarity.SimilarityWarning, match="is constant"):
        assert np.isnan(sampled_linear_cka(0 * x, x, columns=20, key=KEY).value)


@pytest.mark.slow
def test_arrays_of_either_kind_draw_the_same_columns_also_over_a_mesh(rng, x64, mesh):
    x, y = wide(rng, n=8), wide(rng, n=8, width=30).astype(np.float32)
    expected = sampled_linear_cka(x.astype(np.float32), y, columns=25, key=KEY)
    split = [
        jax.device_put(part.astype(np.float32), jax.NamedSharding(mesh, jax.P("data")))
        for part in (x, y)
    ]
    for pair in ((x, y), split):
        found = sampled_linear_cka(*pair, columns=25, key=KEY)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    slope = jax.grad(lambda x: sampled_linear_cka(x, y, columns=25, key=KEY).value)(x)
    assert (np.abs(slope).max(axis=0) > 0).sum() == 25
