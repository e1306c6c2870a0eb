"""How classes lie: neural collapse and LiDAR, against their definitions in numpy's float64."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import geometry

COUNTS = (12, 9, 20)
C, D = len(COUNTS), 6
LABELS = np.repeat(np.arange(C), COUNTS)


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return 3 * rng.standard_normal((C, D))[LABELS] + rng.standard_normal((len(LABELS), D)) + 5.0


def parts(x):
    means = np.stack([x[c == LABELS].mean(axis=0) for c in range(C)])
    within = x - means[LABELS]
    return means - means.mean(axis=0), within, means


def written_out(x, weights):
    means, within, raw = parts(x)
    s_w = within.T @ within / len(x)
    s_b = means.T @ means / C
    variances = [(within[c == LABELS] ** 2).sum(axis=1).mean() for c in range(C)]
    norms = np.linalg.norm(means, axis=1)
    pairs = list(combinations(range(C), 2))
    nearest = np.linalg.norm(x[:, None] - raw[None], axis=-1).argmin(axis=1)
    difference = weights / np.linalg.norm(weights) - means / np.linalg.norm(means)
    return {
        "nc1": np.trace(s_w @ np.linalg.pinv(s_b, rcond=1e-8)) / C,
        "nc1_trace": np.trace(s_w) / np.trace(s_b),
        "cdnv": np.mean(
            [
                (variances[a] + variances[b]) / 2 / ((means[a] - means[b]) ** 2).sum()
                for a, b in pairs
            ]
        ),
        "nc2_norms": norms.std() / norms.mean(),
        "nc2_angles": np.mean(
            [abs(means[a] @ means[b] / norms[a] / norms[b] + 1 / (C - 1)) for a, b in pairs]
        ),
        "nc3": (difference**2).sum(),
        "nc4": (nearest == (x @ weights.T).argmax(axis=1)).mean(),
        "own": (nearest == LABELS).mean(),
    }


@pytest.mark.slow
def test_collapse_is_its_definition(x):
    weights = np.random.default_rng(1).standard_normal((C, D))
    expected = written_out(x, weights)
    own = expected.pop("own")
    with_head = geometry.neural_collapse(x, LABELS, weights)._asdict()
    for name, value in expected.items():
        np.testing.assert_allclose(with_head[name], value, rtol=1e-6, err_msg=name)
    without = geometry.neural_collapse(x.astype(np.float32), LABELS)
    for name in list(expected)[:5]:
        np.testing.assert_allclose(getattr(without, name), expected[name], rtol=1e-4, err_msg=name)
    assert np.isnan(without.nc3)
    assert without.nc4 == pytest.approx(own)


@pytest.mark.slow
def test_a_collapsed_network_and_its_bias():
    simplex = np.eye(C) - 1 / C
    x = simplex[LABELS]
    found = geometry.neural_collapse(x, LABELS, 2 * simplex, bias=np.zeros(C))
    np.testing.assert_allclose(found[:6], 0, atol=1e-12)
    assert found.nc4 == 1
    always_one = geometry.neural_collapse(x, LABELS, simplex, bias=np.array([0, 10.0, 0]))
    assert always_one.nc4 == pytest.approx(COUNTS[1] / len(LABELS))


@pytest.mark.slow
def test_turns_shifts_and_scale_change_nothing(x):
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
    order = rng.permutation(len(x))
    expected = geometry.neural_collapse(x, LABELS)
    expected_lidar = geometry.lidar(x, LABELS, ridge=1e-10)
    for changed, labels in ((x @ turn + 1e4, LABELS), (0.1 * x, LABELS), (x[order], LABELS[order])):
        found = geometry.neural_collapse(changed, labels)
        np.testing.assert_allclose(found[:5], expected[:5], rtol=1e-5)
        lidar = geometry.lidar(changed, labels, ridge=1e-10)
        np.testing.assert_allclose(lidar, expected_lidar, rtol=1e-5)


@pytest.mark.slow
def test_lidar_is_its_definition(x):
    means, within, _ = parts(x)
    s_w = np.mean(
        [within[c == LABELS].T @ within[c == LABELS] / COUNTS[c] for c in range(C)], axis=0
    )
    values = np.linalg.eigvals(
        np.linalg.solve(s_w + 1e-2 * np.eye(D), means.T @ means / C)
    ).real.clip(0)
    p = np.sort(values)[::-1][:C] / values.sum() + 1e-7
    expected = np.exp(-(p * np.log(p)).sum())
    assert geometry.lidar(x, LABELS, ridge=1e-2) == pytest.approx(expected, rel=1e-5)
    assert 1 <= expected <= C - 1


@pytest.mark.slow
def test_under_jit_vmap_and_grad(x):
    features = jnp.asarray(x, jnp.float32)
    labels = jnp.asarray(LABELS)

    def both(features):
        collapse = geometry.neural_collapse(features, labels, classes=range(C))
        return collapse.nc1, geometry.lidar(features, labels, classes=range(C))

    expected = both(features)
    found = jax.jit(jax.vmap(both))(jnp.stack([features, features]))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)

    for i in range(2):
        with pytest.raises(TypeError, match="no derivative"):
            jax.grad(lambda features, i=i: both(features)[i])(features)


BAD = {
    "one class": (lambda x: geometry.neural_collapse(x, 0 * LABELS), "at least two classes"),
    "rows": (lambda x: geometry.neural_collapse(x[1:], LABELS), "as many rows"),
    "an empty class": (
        lambda x: geometry.lidar(x, LABELS, classes=range(4)),
        "none of the classes",
    ),
    "a kernel": (lambda x: geometry.neural_collapse(x, LABELS, np.ones((D, C))), "kernel.T"),
    "no head": (lambda x: geometry.neural_collapse(x, LABELS, np.zeros((C, D))), "not all be 0"),
    "one mean": (lambda x: geometry.neural_collapse(0 * x, LABELS), "one mean in all"),
    "one object": (lambda x: geometry.lidar(0 * x + 3, LABELS), "one mean in all"),
    "a bias alone": (lambda x: geometry.neural_collapse(x, LABELS, bias=np.ones(C)), "weights"),
    "a long bias": (
        lambda x: geometry.neural_collapse(x, LABELS, np.ones((C, D)), bias=np.ones(C + 1)),
        "bias must be",
    ),
    "no ridge": (lambda x: geometry.lidar(x, LABELS, ridge=0.0), "ridge must be positive"),
    "real numbers": (lambda x: geometry.lidar(x, x[:, 0]), "must be classes"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(x, case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call(x)


def test_nan_and_classes_that_coincide_have_no_collapse(x):
    """NC1 would be 0, which is that of a network that has collapsed."""
    bad = x.copy()
    bad[3, 1] = np.nan
    collapse = jax.jit(lambda rows: geometry.neural_collapse(rows, LABELS, classes=range(C)))
    found = collapse(bad.astype(np.float32))
    assert np.isnan(found.nc1)
    assert np.isnan(found.nc4)
    dead = collapse(np.ones_like(x, np.float32))
    assert np.isnan([dead.nc1, dead.nc4]).all()


@pytest.mark.parametrize("name", ["weights", "bias"])
def test_a_head_that_holds_nan_is_refused(name):
    head = {"weights": np.eye(2), "bias": np.zeros(2)}
    head[name] = head[name] * np.nan
    with pytest.raises(ValueError, match=f"{name} must be finite"):
        geometry.neural_collapse(np.eye(4, 2), [0, 1, 0, 1], **head)


@pytest.mark.parametrize("size", [1e-90, 1e90])
def test_units_do_not_matter_where_fourth_powers_leave_the_range(x, size):
    found = geometry.neural_collapse(x * size, LABELS)
    np.testing.assert_allclose(found, geometry.neural_collapse(x, LABELS), rtol=1e-5)
