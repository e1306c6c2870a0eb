from dataclasses import replace
from functools import partial
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign.alignment import _permutations, spectrum_and_null

TAU = [-1.0, 0.0, 0.3, 1.0, 2.5, 50.0]


def problem(rng, n=24, d=5, k=2, dtype=np.float32):
    """Features with a constant column and targets with a mean: what tells the two nulls apart."""
    features = np.concatenate([rng.standard_normal((n, d - 1)), np.ones((n, 1))], axis=1)
    return features.astype(dtype), (features[:, :1] + rng.standard_normal((n, k)) + 1).astype(dtype)


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def folded(features, targets, folds):
    return jax.vmap(ja.moments)(
        features.reshape(folds, -1, features.shape[1]), targets.reshape(folds, -1, targets.shape[1])
    )


@pytest.mark.gpu
@pytest.mark.parametrize(("n", "d"), [(5, 3), (6, 2), (3, 5), (2, 2)])
def test_permutation_null_is_the_mean_over_all_permutations(rng, x64, n, d):
    features, targets = problem(rng, n, d)
    solve = jax.jit(jax.vmap(lambda y: ja.spectrum(features, y)))
    every = solve(np.stack([targets[list(p)] for p in permutations(range(n))]))
    null = ja.permutation_null(features, targets)
    for found, expected in zip(arrays_of(null), arrays_of(every), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected.mean(axis=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [lambda *pair: pair, ja.triangle], ids=["arrays", "triangle"])
def test_a_mean_of_the_targets_costs_their_spread_no_digits(rng, form):
    """Features about their mean, along which no mean of the targets lies."""
    features, targets = problem(rng, 32, 3)
    features = (features - features.mean(axis=0))[:, :2]
    far = targets + np.float32(1e4)
    exact = ja.permutation_null(features, far.astype(float) - 1e4).energy
    arguments = form(features, far)
    found = ja.permutation_null(*(arguments if isinstance(arguments, tuple) else (arguments,)))
    np.testing.assert_allclose(found.energy, exact, rtol=2e-3)


def test_permutation_null_of_rank_deficient_features(rng):
    """Directions under the rank tolerance hold nothing, also by chance."""
    features, targets = problem(rng, 5, 3)
    doubled = np.concatenate([features, features], axis=1)
    np.testing.assert_allclose(ja.permutation_null(doubled, targets).energy[3:], 0)
    np.testing.assert_allclose(
        ja.permutation_null(doubled, targets).energy.sum(axis=0),
        ja.permutation_null(features, targets).energy.sum(axis=0),
        rtol=1e-5,
    )
    np.testing.assert_array_equal(ja.permutation_null(np.zeros((4, 2)), np.ones((4, 1))).energy, 0)


def test_permutation_null_of_centred_targets_is_nearly_that_of_random_ones(rng):
    """Without means: ‖c‖²/(n − 1) a direction instead of ‖y‖²/n."""
    features, targets = (x - x.mean(axis=0) for x in problem(rng, dtype=float))
    features = features[:, :-1]
    null = ja.permutation_null(features, targets)
    random = ja.alignment_curve(ja.isotropic_null(ja.spectrum(features, targets)), TAU)
    np.testing.assert_allclose(ja.alignment_curve(null, TAU)[2:], random[2:] * 24 / 23, rtol=1e-5)


def test_what_a_bias_column_holds_of_the_mean_is_no_alignment(rng):
    features = np.ones((30, 1), np.float32)
    targets = np.where(np.arange(30) < 24, 1, -1).astype(np.float32)  # mean 0.6
    s, null = ja.spectrum(features, targets), ja.permutation_null(features, targets)
    np.testing.assert_allclose(null.energy, s.energy, rtol=1e-5)
    np.testing.assert_allclose(null.energy, 30 * 0.36, rtol=1e-5)


def assert_close(found: ja.Spectrum, expected: ja.Spectrum, rtol=1e-5, atol=1e-5):
    """Directions that only one of them has, as sums of wide rows do, hold nothing."""
    assert found.num_samples == expected.num_samples
    assert found.rank == expected.rank
    r = len(expected.singular_values)
    np.testing.assert_array_equal(found.energy[r:], 0)
    np.testing.assert_allclose(found.energy[:r], expected.energy, rtol=rtol, atol=atol)
    held = slice(int(expected.rank))
    np.testing.assert_allclose(
        found.singular_values[held], expected.singular_values[held], rtol=rtol
    )
    np.testing.assert_allclose(found.total, expected.total, rtol=rtol)


def both_of(kind, features, targets, centered, weights=None):
    """``spectrum_and_null`` by way of sums of rows."""
    if kind == "triangle":
        return spectrum_and_null(ja.triangle(features, targets, weights), centered=centered)
    sums = ja.moments(features, targets, weights)
    if kind == "moments":
        return spectrum_and_null(sums, centered=centered)
    basis = ja.basis(sums, centered=centered)
    second = ja.moments(features, targets, weights, basis=basis)
    return spectrum_and_null(second, basis=basis)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("centered", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["auto", "moments", "refined", "triangular", "svd"])
def test_one_decomposition_gives_both(rng, method, centered):
    """In float64, where the column of ones moves no direction of a QR by more than rounding; "auto"
    in float32.
    """
    dtype = np.float32 if method == "auto" else np.float64
    rtol = 1e-5 if method == "auto" else 1e-9
    features, targets = problem(rng, dtype=dtype)
    solve = partial(ja.spectrum, method=method, centered=centered)
    both = partial(spectrum_and_null, method=method, centered=centered)
    with jax.enable_x64(True):
        spectrum, null = both(features, targets)
        assert_close(spectrum, solve(features, targets), rtol, rtol)
        alone = ja.permutation_null(features, targets, method=method, centered=centered)
        assert_close(null, alone, rtol, rtol)
        assert spectrum.route_name == null.route_name == solve(features, targets).route_name
        for traced, eager in zip(jax.jit(both)(features, targets), (spectrum, null), strict=True):
            assert_close(traced, eager, rtol, rtol)


@pytest.mark.slow
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("n", [24, 4], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", ["moments", "second pass", "triangle"])
def test_sums_give_both_as_their_rows_do(rng, kind, n, centered):
    features, targets = problem(rng, n)
    expected = spectrum_and_null(features, targets, centered=centered)
    for a, b in zip(both_of(kind, features, targets, centered), expected, strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("kind", ["moments", "second pass", "triangle"])
def test_integer_weights_are_repeated_rows(rng, kind, centered):
    features, targets = problem(rng)
    weights = np.arange(24) % 4
    repeated = (x.repeat(weights, axis=0) for x in (features, targets))
    expected = spectrum_and_null(*repeated, centered=centered)
    found = both_of(kind, features, targets, centered, weights)
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrays", "moments", "second pass", "triangle"])
def test_centred_null_is_the_mean_over_all_permutations(rng, kind):
    features, targets = problem(rng, 5, 3)
    solve = jax.jit(jax.vmap(lambda y: ja.spectrum(features, y, centered=True)))
    every = solve(np.stack([targets[list(p)] for p in permutations(range(5))]))
    if kind == "arrays":
        null = ja.permutation_null(features, targets, centered=True)
    else:
        null = both_of(kind, features, targets, True)[1]
    np.testing.assert_allclose(null.energy, every.energy.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(null.total, every.total[0], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("each", [ja.moments, ja.triangle])
def test_null_of_sums_under_transformations(rng, x64, each):
    features, targets = map(jnp.asarray, problem(rng))

    def area(x, y):
        return ja.alignment_area(ja.permutation_null(each(x, y)))

    expected = ja.alignment_area(ja.permutation_null(features, targets))
    pair = tuple(jnp.stack([x[::-1], x]) for x in (features, targets))
    for way in (jax.jit(area), lambda x, y: jax.jit(jax.vmap(area))(*pair)[1]):
        found = way(features, targets)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_isotropic_null_is_the_mean_over_random_directions(rng):
    """Rank-deficient, so that the two directions of rounding are tested to hold nothing."""
    features, targets = problem(rng)
    features = np.concatenate([features, features[:, :2]], axis=1)
    spectrum = ja.spectrum(features, targets)
    null = ja.isotropic_null(spectrum)
    assert spectrum.rank == 5
    np.testing.assert_allclose(null.energy[:5], np.tile(spectrum.total / 24, (5, 1)), rtol=1e-6)
    np.testing.assert_array_equal(null.energy[5:], 0)
    directions = rng.standard_normal((24, 4000))
    directions /= np.linalg.norm(directions, axis=0)
    norm = float(spectrum.total[0]) ** 0.5
    drawn = np.asarray(ja.spectrum(features, norm * directions.astype(np.float32)).energy)
    error = drawn.std(axis=1) / 4000**0.5
    assert (np.abs(drawn.mean(axis=1) - null.energy[:, 0]) <= 4 * error + 1e-6).all()
    batch = jax.vmap(ja.isotropic_null)(jax.tree.map(lambda x: jnp.stack([x, x]), spectrum))
    np.testing.assert_allclose(batch.energy[1], null.energy, rtol=1e-6)
    unbatched = ja.isotropic_null(jax.tree.map(lambda x: jnp.stack([x, x]), spectrum))
    np.testing.assert_array_equal(unbatched.energy, batch.energy)


def test_sums_that_cannot_be_permuted_are_explained(rng):
    features, targets = problem(rng)
    for each in (ja.moments, ja.triangle):
        with pytest.raises(ValueError, match=r"add up to 0\.5: multiply them"):
            ja.permutation_null(each(features, targets, np.full(24, 1 / 48)))
        with pytest.raises(ValueError, match="takes no targets"):
            ja.permutation_null(each(features, targets), targets)
    first = ja.moments(features, targets)
    with pytest.raises(ValueError, match="basis is for moments of a second pass"):
        ja.permutation_null(features, targets, basis=ja.basis(first))
    with pytest.raises(ValueError, match="a basis goes with Moments of a second pass"):
        ja.permutation_null(ja.triangle(features, targets), basis=ja.basis(first))
    with pytest.raises(ValueError, match="targets are missing"):
        ja.permutation_null(features)


@pytest.mark.slow
@pytest.mark.parametrize("transformed", [False, True], ids=["plain", "jit of vmap"])
def test_permuted_curves_have_that_mean_under_every_transformation(rng, x64, transformed):
    features, targets = map(jnp.asarray, problem(rng))
    tau, key = jnp.array(TAU, jnp.float32), jax.random.key(1)

    def both(x, y, key):
        return (
            ja.permutation_curves(x, y, tau, key=key, draws=400),
            ja.permutation_null(x, y),
        )

    if transformed:
        stacked = (jnp.stack([x[::-1], x]) for x in (features, targets))
        found, null = jax.tree.map(
            lambda x: x[1], jax.jit(jax.vmap(both))(*stacked, jnp.stack([key, key]))
        )
    else:
        found, null = both(features, targets, key)
    assert found.null.shape == (400, 6, 2)
    assert found.null.dtype == found.observed.dtype == jnp.float32
    np.testing.assert_allclose(
        found.observed, ja.alignment_curve(ja.spectrum(features, targets), TAU), rtol=1e-5
    )
    error = np.asarray(found.null.std(axis=0)) / 20
    difference = np.asarray(found.null.mean(axis=0) - ja.alignment_curve(null, TAU))
    assert (np.abs(difference) <= 4 * error + 1e-4).all()


def test_columns_are_shuffled_together(rng):
    features, targets = problem(rng)
    found = ja.permutation_curves(
        features,
        np.concatenate([targets, 2 * targets], axis=1),
        TAU,
        key=jax.random.key(0),
        draws=20,
    )
    np.testing.assert_allclose(found.null[..., 2:], 4 * found.null[..., :2], rtol=1e-5)


def test_the_same_key_gives_the_same_draws_and_another_others(rng):
    def draw(seed):
        return ja.permutation_curves(
            *problem(np.random.default_rng(0)), TAU, key=jax.random.key(seed), draws=5
        ).null

    np.testing.assert_array_equal(draw(0), draw(0))
    assert (draw(0) != draw(1))[:, 2:4].all()


@pytest.mark.parametrize("traced", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tau", [1.0, TAU], ids=["one threshold", "many"])
def test_draws_in_turns_are_the_draws_at_once(rng, monkeypatch, tau, traced):
    features, targets = problem(rng)

    def draw(x, y):
        return ja.permutation_curves(x, y, tau, key=jax.random.key(0), draws=7)

    whole = draw(features, targets)
    assert whole.null.shape == (7, *np.shape(tau), 2)
    monkeypatch.setattr(_permutations, "NUMBERS_AT_ONCE", 3 * targets.size)
    parts = (jax.jit(draw) if traced else draw)(features, targets)
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_p_values_count_draws_that_reach_what_was_observed():
    null = jnp.array([1.0, 2.0, 3.0, 4.0])[:, None, None]

    def p(observed):
        return float(ja.Permuted(jnp.full((1, 1), observed), null).p_values[0, 0])

    np.testing.assert_allclose(
        [p(0.5), p(2.5), p(3 * (1 + 1e-6)), p(9.0)], [1, 0.6, 0.6, 0.2], rtol=1e-6
    )
    found = ja.Permuted(jnp.ones((1, 1)), null)
    np.testing.assert_allclose(found.quantiles(0.5), [[2.5]])
    np.testing.assert_allclose(found.quantiles([0.0, 1.0]), [[[1.0]], [[4.0]]])
    for wrong in (1.5, [0.5, np.nan], "half"):
        with pytest.raises((ValueError, TypeError), match="q must be"):
            found.quantiles(wrong)


@pytest.mark.slow
def test_p_values_are_uniform_by_chance_and_small_where_labels_are_in_the_features(rng):
    features, labels = (
        jnp.asarray(rng.standard_normal((200, 30, width)), jnp.float32) for width in (4, 1)
    )
    p = jax.jit(
        lambda y: jax.vmap(
            lambda x, y, key: ja.permutation_curves(
                x, y, jnp.array([0.0, 1.0]), key=key, draws=99
            ).p_values[:, 0]
        )(features, y, jax.random.split(jax.random.key(0), 200))
    )
    unaligned, aligned = p(labels), p(labels + 3 * features[..., :1])
    np.testing.assert_array_equal(unaligned[:, 0], 1)  # A(0) is ‖y‖², whatever the order
    share = float((unaligned[:, 1] <= 0.1).mean())
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / 200) ** 0.5
    assert (aligned[:, 1] <= 0.02).all()


def test_bootstrap_draws_are_curves_of_repeated_folds(rng, x64):
    """Two folds of three rows: every draw is one of the four samples that can be drawn, in their
    shares.
    """
    features, targets = problem(rng, 6, 3)

    def whole(rows):
        return np.asarray(ja.alignment_curve(ja.spectrum(features[rows], targets[rows]), TAU))

    first, both, second = whole([0, 1, 2] * 2), whole(range(6)), whole([3, 4, 5] * 2)
    for folds in (
        folded(features, targets, 2),
        [ja.moments(features[i : i + 3], targets[i : i + 3]) for i in (0, 3)],
    ):
        drawn = np.asarray(ja.bootstrap_curves(folds, TAU, key=jax.random.key(2), draws=300))
        assert drawn.shape == (300, 6, 2)
        assert drawn.dtype == np.float32
        is_one = np.stack(
            [
                np.isclose(drawn, one, rtol=1e-4, atol=1e-4).all(axis=(1, 2))
                for one in (first, both, second)
            ]
        )
        np.testing.assert_array_equal(is_one.sum(axis=0), 1)
        assert (np.abs(is_one.mean(axis=1) - [0.25, 0.5, 0.25]) < 4 * 0.5 / 300**0.5).all()


@pytest.mark.slow
def test_bootstrap_under_jit_and_vmap(rng, x64):
    folds, tau = folded(*problem(rng), 6), jnp.array(TAU, jnp.float32)
    keys = jax.random.split(jax.random.key(3), 2)

    def curves(folds, key):
        return ja.bootstrap_curves(folds, tau, key=key, draws=10, centered=True)

    plain = jnp.stack([curves(folds, key) for key in keys])
    two = (
        jax.tree.map(lambda x: jnp.stack([x, x]), folds) if x64 else jax.vmap(lambda _: folds)(keys)
    )
    jitted = jax.jit(curves)
    for found in (jnp.stack([jitted(folds, key) for key in keys]), jax.vmap(curves)(two, keys)):
        np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-4)


def test_centered_bootstrap_is_about_each_draw_s_own_mean(rng):
    features, targets = problem(rng)

    def draw(x, y):
        return ja.bootstrap_curves(
            folded(x, y, 6), TAU, key=jax.random.key(0), draws=10, centered=True
        )

    np.testing.assert_allclose(
        draw(features + 7, targets - 3), draw(features, targets), rtol=1e-3, atol=1e-3
    )


def population(key, n=120, d=6):
    """Rows whose curve, as a share of ‖y‖², is smooth at the thresholds √n·(0.5, 1.5): no
    population singular value is near.
    """
    one, two = jax.random.split(key)
    features = jax.random.normal(one, (n, d)) * jnp.array([3.0, 2.0, 1.0, 1.0, 0.2, 0.1])
    targets = features @ jnp.array([0.2, 0.4, 0.5, 0.0, 1.0, 1.0]) + jax.random.normal(two, (n,))
    return features, targets[:, None], n**0.5 * jnp.array([0.0, 0.5, 1.5])


def shares(curve):
    return curve[..., 1:, 0] / curve[..., :1, 0]


@pytest.mark.slow
def test_bootstrap_has_the_spread_of_new_samples_and_covers_the_mean():
    """Of folds as of single rows, over 150 samples: standard deviation within 20 %; A ± 1.96 of it
    covers nearly as it says.
    """

    @jax.jit
    def one(key):
        data, draws = jax.random.split(key)
        features, targets, tau = population(data)
        curve = shares(ja.alignment_curve(ja.spectrum(features, targets), tau))

        def deviation(folds):
            return shares(
                ja.bootstrap_curves(folded(features, targets, folds), tau, key=draws, draws=100)
            ).std(axis=0)

        return curve, jnp.stack([deviation(20), deviation(120)])

    curves, deviations = map(np.asarray, jax.lax.map(one, jax.random.split(jax.random.key(5), 150)))
    np.testing.assert_allclose(deviations.mean(axis=0) / curves.std(axis=0), 1, atol=0.2)
    covered = np.abs(curves - curves.mean(axis=0))[:, None] <= 1.96 * deviations
    assert (covered.mean(axis=0) > 0.95 - 4 * (0.95 * 0.05 / 150) ** 0.5).all()


def test_bad_draws_and_folds_are_explained(rng):
    features, targets = problem(rng)
    folds, key = folded(features, targets, 4), jax.random.key(0)

    def bootstrap(folds, tau=TAU, draws=3):
        return ja.bootstrap_curves(folds, tau, key=key, draws=draws)

    with pytest.raises(ValueError, match="draws must be at least 1, found 0"):
        ja.permutation_curves(features, targets, TAU, key=key, draws=0)
    with pytest.raises(ValueError, match="draws must be at least 1, found 0"):
        bootstrap(folds, draws=0)
    with pytest.raises(ValueError, match="at least 2 rows to be permuted"):
        ja.permutation_null(features[:1], targets[:1])
    with pytest.raises(ValueError, match=r"folds must be at least 2 Moments.*split the rows"):
        bootstrap(ja.moments(features, targets))
    with pytest.raises(ValueError, match="folds must be at least 2 Moments"):
        bootstrap([ja.moments(features, targets)])
    with pytest.raises(ValueError, match="pass at least one"):
        bootstrap([])
    with pytest.raises(ValueError, match="must agree in features, found 5 and 4"):
        bootstrap([ja.moments(features, targets), ja.moments(features[:, 1:], targets)])
    with pytest.raises(ValueError, match="found one of weight 0"):
        bootstrap([ja.moments(features, targets, w) for w in (np.ones(24), np.zeros(24))])
    with pytest.raises(ValueError, match="thresholds must be finite"):
        bootstrap(folds, [np.nan])
    with pytest.raises(ValueError, match="of a first pass"):
        bootstrap([ja.moments(features, targets, basis=ja.basis(folds.sum()))] * 2)


@pytest.mark.parametrize("count", [0, -5])
def test_a_null_needs_samples(made, count):
    spectrum = made([2.0, 1.0], [1.0, 1.0], 2.0)
    with pytest.raises(ValueError, match=f"num_samples of a spectrum must be .* found {count}"):
        ja.isotropic_null(replace(spectrum, num_samples=jnp.array(count)))
