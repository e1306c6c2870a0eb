from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

MEASURES = {
    "alignment_curve": lambda s: ja.alignment_curve(s, jnp.array([0.0, 0.5, 2.0])),
    "curve at one threshold": lambda s: ja.alignment_curve(s, 1.0),
    "alignment_area": ja.alignment_area,
    "aligned_rank": ja.aligned_rank,
    "predicted_convergence": lambda s: ja.predicted_convergence(s, jnp.array([0, 1, 30])),
    "isotropic_null": lambda s: ja.alignment_curve(ja.isotropic_null(s), jnp.array([0.5, 2.0])),
}


def example(rng, n=20, d=5, k=2):
    features = jnp.asarray(rng.standard_normal((n, d)), jnp.float32)
    return features, jnp.asarray(rng.standard_normal((n, k)), jnp.float32)


@cache
def transformed(x64: bool) -> dict[str, dict]:
    """All measures of one example in one program per transformation: {transformation: {measure:
    value}}.
    """
    features, targets = example(np.random.default_rng(0))

    def whole(x):
        spectrum = ja.spectrum(ja.prepare(x), targets)
        return {name: measure(spectrum) for name, measure in MEASURES.items()}

    def sums(x):
        return {name: value.sum() for name, value in whole(x).items() if name != "aligned_rank"}

    with jax.enable_x64(x64):
        return {
            "plain": whole(features),
            "jit": jax.jit(whole)(features),
            "vmap": jax.vmap(whole)(jnp.stack([features, features[::-1]])),
            "grad": jax.jit(jax.jacrev(sums))(features),
        }


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_under_jit_vmap_and_grad(x64, name):
    values = {way: measures.get(name) for way, measures in transformed(x64).items()}
    plain = values["plain"]
    assert plain.dtype == (jnp.int32 if name == "aligned_rank" else jnp.float32)
    np.testing.assert_allclose(values["jit"], plain, rtol=1e-5)
    np.testing.assert_allclose(values["vmap"][0], plain, rtol=1e-5)
    if name != "aligned_rank":
        assert values["grad"].shape == (20, 5)
        assert np.isfinite(values["grad"]).all()


def test_curve_at_one_threshold_is_alignment(rng):
    s = ja.spectrum(*example(rng))
    thresholds = [-1.0, 0.0, 0.3, 1.0, float(s.singular_values[2]), 50.0]
    curve = ja.alignment_curve(s, thresholds)
    assert curve.shape == (6, 2)
    for tau, value in zip(thresholds, curve, strict=True):
        np.testing.assert_array_equal(ja.alignment_curve(s, tau), value)


@pytest.mark.parametrize("tiny", [1e-44, 1e-300])
def test_a_threshold_that_float32_takes_for_0_is_none(rng, tiny):
    rows, y = rng.standard_normal((2, 8, 2)).astype(np.float32)
    s = ja.spectrum(rows, y)
    np.testing.assert_array_equal(
        ja.alignment_curve(s, [tiny, -tiny]), ja.alignment_curve(s, [1e-30, -1.0])
    )


def test_a_threshold_at_a_singular_value_counts_it(made):
    s = made([2.0, 1.0], [3.0, 4.0], 9.0)
    assert ja.alignment_curve(s, 2.0) == 3
    assert ja.alignment_curve(s, 1.0) == 7
    assert ja.alignment_curve(s, 2.0001) == 0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.999, 1.0])
def test_aligned_rank_is_the_fewest_directions_that_hold_the_share(rng, share):
    s = ja.spectrum(*example(rng, 30, 12, 4))
    ranks = ja.aligned_rank(s, share)
    for j, rank in enumerate(np.asarray(ranks)):
        energy = np.asarray(s.energy[:, j], float)
        assert energy[:rank].sum() >= share * energy.sum() * (1 - 1e-6)
        assert energy[: rank - 1].sum() < share * energy.sum()


def test_aligned_rank_of_targets_outside_the_column_space_is_zero():
    features = jnp.array([[1.0], [1.0], [0.0]])
    assert ja.aligned_rank(ja.spectrum(features, jnp.array([[0.0], [0.0], [1.0]]))) == 0


@pytest.mark.parametrize("share", [0, -0.1, 1.1, np.nan])
def test_aligned_rank_refuses_what_is_no_share(rng, share):
    with pytest.raises(ValueError, match="energy must be a share in"):
        ja.aligned_rank(ja.spectrum(*example(rng)), share)


def test_bad_thresholds_are_explained(rng):
    s = ja.spectrum(*example(rng))
    with pytest.raises(ValueError, match="thresholds must be finite, found 1 NaN or Inf"):
        ja.alignment_curve(s, [0.0, np.nan])
    with pytest.raises(
        ValueError, match=r"thresholds must be a number or have shape \(t,\), found shape \(1, 2\)"
    ):
        ja.alignment_curve(s, [[1.0, 2.0]])
    with pytest.raises(ValueError, match="threshold"):
        ja.alignment_curve(s, np.inf)
