from itertools import combinations

import numpy as np
import pytest

from jaxalign.studies.speed.labelings import SPLITS, by_relabelling, targets

NUMBER = len(SPLITS)


@pytest.fixture(scope="module")
def pairs():
    """A variable that the splits inherit from how alike two classes are: (pairs of classes)."""
    return np.random.default_rng(3).standard_normal((10, 10))


def of_splits(alike: np.ndarray) -> np.ndarray:
    """How alike the classes are that a split has on one side."""
    y = targets(np.arange(10))
    return np.einsum("ca,cd,da->a", y, alike, y)


def test_all_even_splits_are_there_once():
    y = targets(np.arange(10))
    assert y.shape == (10, NUMBER) == (10, 126)
    assert set(np.unique(y)) == {-1.0, 1.0}
    assert (y.sum(axis=0) == 0).all()
    # None is another one with its sides changed.
    assert np.abs(y.T @ y - 10 * np.eye(NUMBER)).max() < 10
    assert {tuple(map(int, name.split())) for name in SPLITS} == {
        half for half in combinations(range(10), 5) if 0 in half
    }


def test_a_relabelling_of_the_classes_carries_splits_to_splits(pairs):
    """Of variables that both follow the same classes, ρ is 1; of classes in another order it is one
    of the values by chance.
    """
    x = of_splits(pairs)[None]
    same = by_relabelling(x, x**3, draws=500)
    assert same.value == pytest.approx(1)
    assert same.p == 1 / 501
    order = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    other = by_relabelling(x, of_splits(pairs[np.ix_(order, order)])[None], draws=500)
    assert other.p > 0.005
    assert other.null.max() < 1


def test_its_interval_leaves_out_0_where_the_test_rejects(pairs):
    noise = np.random.default_rng(0).standard_normal((2, 3, NUMBER))
    x = of_splits(pairs) / 10
    found = by_relabelling(x + noise[0] / 3, -x + noise[1], draws=999)
    assert found.value < 0
    for confidence in (1 - 1.01 * found.p, 1 - 0.99 * found.p):
        interval = found.interval(confidence=confidence)
        assert (interval.high < 0) == (found.p <= 1 - confidence)
        assert (interval.value, interval.n) == (found.value, 10)
    # More is asked than so many permutations can tell.
    assert tuple(found.interval(confidence=1 - 1e-4)) == (found.value, -1, 1, 10)


def test_splits_that_share_classes_are_not_taken_for_independent_ones():
    """By chance alone ρ of two variables of the classes is far wider spread than that of as many
    independent pairs, and the test keeps its level.
    """
    rng = np.random.default_rng(5)
    found = [
        by_relabelling(*(of_splits(rng.standard_normal((10, 10)))[None] for _ in "xy"), draws=99)
        for _ in range(150)
    ]
    assert np.mean([one.p <= 0.1 for one in found]) == pytest.approx(0.1, abs=0.05)
    assert np.std([one.value for one in found]) > 1.4 / np.sqrt(NUMBER)


def test_a_constant_has_shown_nothing():
    x = np.arange(2.0 * NUMBER).reshape(2, NUMBER)
    y = np.stack([np.ones(NUMBER), x[1]])
    assert by_relabelling(x, y, draws=9).value == pytest.approx(0.5)
