"""What is no answer is NaN, infinite with a warning, or refused: never a plausible number."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import similarity

KEY = jax.random.key(0)
UNKNOWN = {
    "mutual_knn": partial(similarity.mutual_knn, k=3),
    "cknna": partial(similarity.cknna, k=3),
    "spearman": partial(similarity.rsa, compare="spearman"),
    "chance": similarity.mean_squared_cca_chance,
    "rbf_cka": similarity.rbf_cka,
    "sampled": partial(similarity.sampled_linear_cka, columns=20, key=KEY),
}
SLOW = ("cknna", "spearman", "rbf_cka", "sampled")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in UNKNOWN]
)
def test_nan_comes_out_of_a_program_that_nan_goes_into(rng, name):
    """Also of measures of an order, which NaN has too."""
    x = rng.standard_normal((12, 3)).astype(np.float32)
    bad = x.copy()
    bad[3, 1] = np.nan
    program = jax.jit(UNKNOWN[name])
    for pair in ((bad, x), (x, bad)):
        assert all(np.isnan(value).all() for value in jax.tree.leaves(program(*pair)))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_units_do_not_matter_to_what_has_none(rng, size):
    x, y = (rng.standard_normal((12, 3)).astype(np.float32) for _ in range(2))
    scaled = (x * np.float32(size)).astype(np.float32)
    for measure in (
        similarity.rbf_cka,
        similarity.angular_procrustes_distance,
        similarity.rsa,
        similarity.mean_cca,
    ):
        np.testing.assert_allclose(measure(scaled, y), measure(x, y), rtol=1e-5)


def test_a_distance_beyond_its_dtype_says_so(rng):
    x = rng.standard_normal((12, 3)).astype(np.float32)
    with pytest.warns(similarity.SimilarityWarning, match="beyond float32: divide x and y"):
        assert np.isinf(similarity.procrustes_distance(x * np.float32(1e30), x))


def test_a_batch_of_pair_moments_is_refused(rng):
    x = rng.standard_normal((2, 6, 3)).astype(np.float32)
    batch = jax.tree.map(
        lambda *parts: jnp.stack(parts), *(similarity.pair_moments(part, part) for part in x)
    )
    with pytest.raises(ValueError, match=r"one set of sums, found a batch of shape \(2,\)"):
        similarity.linear_cka(batch)
