"""The smooth curve against the hard one, and Label Alignment Regularization's minimiser against
gradient descent.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign._spectrum import room


@pytest.fixture
def data(rng):
    """Two distributions of the same 6 features, the second with its strong directions elsewhere."""
    mixing, turned = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    scales = np.geomspace(2, 0.3, 6)
    features = (rng.standard_normal((60, 6)) * scales) @ mixing
    unlabelled = (rng.standard_normal((40, 6)) * scales) @ (0.9 * mixing + 0.1 * turned)
    targets = np.sign(features @ mixing[0])[:, None] + 0.1 * rng.standard_normal((60, 2))
    return tuple(x.astype(np.float32) for x in (features, targets, unlabelled))


def test_the_smooth_curve_tends_to_the_hard_one(data):
    found = ja.spectrum(*data[:2])
    between = float(found.singular_values[2] + found.singular_values[3]) / 2
    hard = ja.alignment_curve(found, between)
    errors = [
        float(jnp.abs(ja.smooth_alignment(found, between, width=w) - hard).max())
        for w in (1, 0.1, 0.01)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_training_on_the_smooth_curve_raises_alignment(rng):
    x = jnp.asarray(rng.standard_normal((80, 5)), jnp.float32)
    y = jnp.sign(
        x[:, :1] * x[:, 1:2]
    )  # not linear in x: a linear map's features cannot hold it, tanh's can

    def features(w):
        return ja.prepare(jnp.tanh(x @ w))

    def share(w):
        return (ja.smooth_alignment(ja.spectrum(features(w), y), 3.0) / 80).sum()

    w = jnp.asarray(rng.standard_normal((5, 12)), jnp.float32)
    start = float(ja.alignment_area(ja.spectrum(features(w), y))[0])
    climb = jax.jit(lambda w: w + 2 * jax.grad(share)(w))
    for _ in range(60):
        w = climb(w)
    assert float(ja.alignment_area(ja.spectrum(features(w), y))[0]) > 1.5 * start


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "unlabelled_rank"), [(3, 2), (6, 0), (4, 4)])
def test_the_closed_form_is_where_gradient_descent_ends(data, rank, unlabelled_rank, x64):
    features, targets, unlabelled = data
    settings = {"rank": rank, "unlabelled_rank": unlabelled_rank, "strength": 0.7}
    weights = ja.label_alignment_weights(features, targets, unlabelled, **settings)
    loss = jax.jit(lambda w: ja.label_alignment_loss(w, features, targets, unlabelled, **settings))
    slope = jax.jit(jax.grad(loss))
    assert float(jnp.abs(slope(weights)).max()) < 1e-3 * float(
        jnp.abs(slope(jnp.zeros_like(weights))).max()
    )
    w = jnp.zeros_like(weights)
    rate = 0.4 / float(np.linalg.norm(features, 2) ** 2 + np.linalg.norm(unlabelled, 2) ** 2)
    descend = jax.jit(lambda w: jax.lax.fori_loop(0, 20000, lambda _, w: w - rate * slope(w), w))
    w = descend(w)
    np.testing.assert_allclose(w, weights, rtol=2e-2, atol=2e-3)
    assert float(loss(weights)) <= float(loss(w)) + 1e-3


def test_special_cases_are_least_squares_and_ridge(data):
    features, targets, unlabelled = data
    wide = features.astype(float)
    plain = ja.label_alignment_weights(features, targets, unlabelled, rank=6, unlabelled_rank=6)
    np.testing.assert_allclose(
        plain, np.linalg.lstsq(wide, targets, rcond=None)[0], rtol=1e-4, atol=1e-5
    )
    ridge = ja.label_alignment_weights(
        features, targets, np.eye(6), rank=6, unlabelled_rank=0, strength=3.0
    )
    np.testing.assert_allclose(
        ridge,
        np.linalg.solve(wide.T @ wide + 3 * np.eye(6), wide.T @ targets),
        rtol=1e-4,
        atol=1e-5,
    )


def test_directions_without_a_minimum_get_no_weight(data):
    features, targets, _ = data
    weights = ja.label_alignment_weights(features, targets, features, rank=2, unlabelled_rank=6)
    right = np.linalg.svd(features.astype(float))[2]
    np.testing.assert_allclose(right[2:] @ np.asarray(weights), 0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("n", [7, 15])
@pytest.mark.parametrize("ranks", [(3, 2), (9, 0), (20, 20)])
def test_of_few_rows_of_many_columns(rng, n, ranks, x64):
    """All is as of d × d sums, which are not computed: of 5 + n rows of 20 columns."""
    shapes = (n, 20), (n, 2), (5, 20), (20, 2)
    phi, y, other, w = (rng.standard_normal(shape) for shape in shapes)

    def tail(rows, rank):
        _, sigma, right = np.linalg.svd(rows)
        squares = np.pad(sigma**2, (0, 20 - len(sigma)))
        squares[:rank] = 0
        return (right.T * squares) @ right

    change = 0.7 * tail(other, ranks[1]) - tail(phi, ranks[0])
    expected = np.linalg.pinv(phi.T @ phi + change, rcond=1e-9) @ phi.T @ y
    settings = {"rank": ranks[0], "unlabelled_rank": ranks[1], "strength": 0.7}
    arrays = [x.astype(np.float32) for x in (phi, y, other)]
    found = ja.label_alignment_weights(*arrays, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    loss = partial(ja.label_alignment_loss, **settings)
    value, slope = jax.value_and_grad(loss)(w.astype(np.float32), *arrays)
    np.testing.assert_allclose(
        value, ((phi @ w - y) ** 2).sum() + (w * (change @ w)).sum(), rtol=1e-4
    )
    exact = 2 * (phi.T @ (phi @ w - y) + change @ w)
    np.testing.assert_allclose(slope, exact, atol=1e-4 * np.abs(exact).max())


@pytest.mark.slow
def test_sums_that_memory_has_no_room_for_are_refused(monkeypatch):
    """Those of few rows have room, however many columns there are."""
    monkeypatch.setattr(room, "available", lambda device: 2**30)
    ranks = {"rank": 1, "unlabelled_rank": 1}

    def of_ones(n, d):
        rows = np.broadcast_to(np.float32(1), (n, d))
        return rows, np.ones((n, 1), np.float32), rows

    few = of_ones(4, 20_000)
    weights = ja.label_alignment_weights(*few, **ranks)
    assert float(ja.label_alignment_loss(weights, *few, **ranks)) < 1e-6
    with pytest.raises(ValueError, match=r"200,000 columns need 2\.98 GiB .* 1 GiB are available"):
        ja.label_alignment_weights(*of_ones(200, 200_000), **ranks)
    many = of_ones(6000, 6000)
    refusal = r"6,000 columns need 1\.34 GiB .* 1 GiB are available"
    with pytest.raises(ValueError, match=refusal):
        ja.label_alignment_weights(*many, **ranks)
    with pytest.raises(ValueError, match=refusal):
        ja.label_alignment_loss(np.ones(6000), *many, **ranks)


def test_bad_input_is_explained(data):
    features, targets, unlabelled = data

    def call(*x, **changed):
        return ja.label_alignment_weights(*x, **{"rank": 1, "unlabelled_rank": 1} | changed)

    with pytest.raises(ValueError, match="rank must be from 0 to d = 6, found 7"):
        call(features, targets, unlabelled, rank=7)
    with pytest.raises(ValueError, match="unlabelled_rank must be at least 0, found -1"):
        call(features, targets, unlabelled, unlabelled_rank=-1)
    with pytest.raises(ValueError, match="as many columns, found 6 and 3"):
        call(features, targets, unlabelled[:, :3])
    with pytest.raises(ValueError, match="unlabelled must be finite"):
        call(features, targets, np.full((3, 6), np.nan))
    with pytest.raises(ValueError, match="strength must be finite and not negative, found -1"):
        call(features, targets, unlabelled, strength=-1.0)
    with pytest.raises(
        ValueError, match=r"weights must have shape \(d, c\) = \(6, 2\), found \(2, 6\)"
    ):
        ja.label_alignment_loss(
            np.ones((2, 6)), features, targets, unlabelled, rank=1, unlabelled_rank=1
        )
    with pytest.raises(ValueError, match="width must be positive, found 0"):
        ja.smooth_alignment(ja.spectrum(features, targets), 1.0, width=0.0)
