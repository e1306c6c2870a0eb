"""Differences between two representations of the same rows."""

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign.alignment import bootstrap_difference

KEY = jax.random.key(0)
F, ROWS = 20, 15


def rows(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((F * ROWS, 6)).astype(np.float32)
    return x, x[:, :1] + x[:, 1:2] + rng.standard_normal((F * ROWS, 1)).astype(np.float32)


def folds(x, y):
    return jax.vmap(ja.moments)(x.reshape(F, ROWS, -1), y.reshape(F, ROWS, -1))


def signs_of(y):
    """As many targets of 1 as of −1 in each fold, whose sums are 0."""
    return np.resize(np.float32([1, -1]), y.shape)


def share(spectrum):
    return ja.alignment_area(spectrum) / spectrum.total


@pytest.fixture(scope="module")
def difference():
    x, y = rows(0)
    return bootstrap_difference(folds(x[:, 1:], y), folds(x, y), share, key=KEY, draws=100)


@pytest.mark.slow
def test_the_value_is_that_of_all_rows(difference):
    x, y = rows(0)
    expected = share(ja.spectrum(x, y)) - share(ja.spectrum(x[:, 1:], y))
    np.testing.assert_allclose(difference.value, expected, rtol=1e-4)


@pytest.mark.slow
def test_the_error_is_the_spread_over_new_samples(difference):
    """Within a factor: it is an estimate from 20 folds."""
    values = []
    for seed in range(1, 120):
        x, y = rows(seed)
        values.append(float((share(ja.spectrum(x, y)) - share(ja.spectrum(x[:, 1:], y)))[0]))
    assert 0.6 < float(difference.error[0]) / np.std(values) < 1.6
    low, high = difference.interval()
    assert low < np.mean(values) < high
    narrow = difference.interval(0.5)
    assert narrow[0] > low
    assert narrow[1] < high


@pytest.mark.slow
def test_a_representation_and_its_rotation_do_not_differ():
    x, y = rows(0)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0].astype(np.float32)
    parts = zip(np.split(x, F), np.split(y, F), strict=True)
    of_x = [ja.moments(*part) for part in parts]
    found = bootstrap_difference(of_x, folds(x @ turn, y), ja.alignment_area, key=KEY, draws=10)
    np.testing.assert_allclose(found.value, 0, atol=1e-2)
    np.testing.assert_allclose(found.error, 0, atol=1e-2)


BAD = {
    "other targets": (lambda x, y: (folds(x, y), folds(x, -y)), "same rows"),
    "other small targets": (lambda x, y: (folds(x, 1e-7 * y), folds(x, -1e-7 * y)), "same rows"),
    "other balanced targets": (
        lambda x, y: (folds(x, signs_of(y)), folds(x, 2 * signs_of(y))),
        "same rows",
    ),
    "other parts": (lambda x, y: (folds(x, y), folds(x[::-1], y[::-1])), "same rows"),
    "fewer": (lambda x, y: (folds(x, y), ja.moments(x, y)), "second must be at least 2"),
    "more targets": (
        lambda x, y: (folds(x, y), folds(x, np.c_[y, y])),
        "as many folds and targets",
    ),
}


def test_a_measure_that_gives_no_array_is_refused():
    parts = folds(*rows(0))
    with pytest.raises(TypeError, match="values of the measure must be an array of numbers"):
        bootstrap_difference(parts, parts, lambda s: {"area": ja.alignment_area(s)}, key=KEY)


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_pair_is_refused(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        bootstrap_difference(*make(*rows(0)), ja.alignment_area, key=KEY)


def test_a_confidence_is_a_share(difference):
    with pytest.raises(ValueError, match="confidence must be in"):
        difference.interval(95)
