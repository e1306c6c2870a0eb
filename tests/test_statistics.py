"""Intervals cover what they should as often as they should, and p-values survive their corrections
in the known ways.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from jaxalign.statistics import (
    at_confidence,
    benjamini_hochberg,
    holm,
    jackknife,
    least,
    margin,
    mean_difference,
    mean_interval,
    median_interval,
    page_trend,
    paired_effect,
    simultaneous,
    spearman,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@pytest.mark.parametrize("n", [3, 10])
def test_a_mean_interval_covers_the_mean_as_often_as_it_says(n):
    draws = np.random.default_rng(0).normal(2, 3, size=(n, 4000))
    found = mean_interval(draws, confidence=0.9)
    assert np.mean((found.low <= 2) & (found.high >= 2)) == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(found.value, draws.mean(0))


@pytest.mark.parametrize("n", [6, 9, 20])
def test_a_median_interval_covers_the_median_of_a_skewed_distribution(n):
    draws = np.random.default_rng(0).exponential(size=(n, 4000))
    found = median_interval(draws)
    covered = np.mean((found.low <= np.log(2)) & (np.log(2) <= found.high))
    assert covered >= 0.94
    assert covered <= 0.985  # of order statistics, the narrowest that is wide enough


def test_the_median_interval_of_few_is_their_range():
    assert median_interval([3.0, 1.0, 2.0])[:3] == (2.0, 1.0, 3.0)


@given(arrays(np.float64, (7, 3), elements=st.floats(-10, 10)))
def test_columns_are_estimated_apart(x):
    together = median_interval(x)
    for j in range(3):
        assert median_interval(x[:, j])[:3] == (
            together.value[j],
            together.low[j],
            together.high[j],
        )


def test_a_paired_effect_does_not_see_what_pairs_share():
    rng = np.random.default_rng(0)
    shared, gain = rng.normal(size=8) * 100, rng.normal(1, 0.5, size=8)
    found = paired_effect(shared + gain, shared)
    assert found.difference.value == pytest.approx(gain.mean())
    assert found.standardized == pytest.approx(gain.mean() / gain.std(ddof=1))
    assert found.p == pytest.approx(stats.ttest_1samp(gain, 0).pvalue)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_sided_p_values_are_those_of_one_sided_t_tests(sign, rng):
    gain = sign * (rng.standard_normal(8) + 0.5)
    effect = paired_effect(gain, np.zeros(8))
    greater = stats.ttest_1samp(gain, 0, alternative="greater").pvalue
    less = stats.ttest_1samp(gain, 0, alternative="less").pvalue
    np.testing.assert_allclose((effect.p_greater, effect.p_less), (greater, less))


def test_a_difference_of_means_is_that_of_welchs_test(rng):
    x, y = rng.normal(1, 3, (8, 2)), rng.normal(0, 1, (5, 2))
    found = mean_difference(x, y, confidence=0.9)
    expected = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.9)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-12)
    assert mean_difference([2.0, 2.0], [1.0, 1.0, 1.0]) == (1, 1, 1, 2)


def test_pairs_without_a_difference_have_no_effect_and_pairs_of_one_difference_a_certain_one():
    assert paired_effect([1, 2], [1, 2])[1:] == (0.0, 1.0)
    assert paired_effect([2, 3], [1, 2])[1:] == (np.inf, 0.0)
    certain = paired_effect([1, 2], [2, 3])
    assert (certain.p_greater, certain.p_less) == (1.0, 0.0)


def test_spearman_is_scipys_and_sees_ranks_only():
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    found = spearman(x, y, resamples=500)
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(np.exp(x), y**3, resamples=500) == found
    assert found.low < found.value < found.high


def test_pairs_that_repeat_within_clusters_add_no_certainty():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    y = x + rng.normal(size=12)
    once = spearman(x, y, resamples=600)
    repeated = spearman(np.tile(x, 5), np.tile(y, 5), clusters=list(range(12)) * 5, resamples=600)
    assert repeated.high - repeated.low == pytest.approx(once.high - once.low, rel=0.15)
    alone = spearman(np.tile(x, 5), np.tile(y, 5), resamples=600)
    assert alone.high - alone.low < 0.7 * (once.high - once.low)


def test_resamples_of_one_value_have_no_correlation_and_are_left_out():
    found = spearman([0, 0, 0, 1], [1, 2, 3, 4], resamples=500)
    assert np.isfinite(found).all()
    assert found.low <= found.value <= found.high


def test_a_trend_is_found_where_columns_rise_and_not_in_noise():
    noise = np.random.default_rng(0).normal(size=(10, 5))
    assert page_trend(noise).p > 0.05
    assert page_trend(noise + np.arange(5)).p < 1e-6
    assert page_trend(noise - np.arange(5)).p > 0.99


@given(P_VALUES)
def test_corrections_keep_the_order_and_never_make_a_p_value_smaller(p):
    order = np.argsort(p)
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assert np.all(adjusted >= np.asarray(p) - 1e-15)
        assert np.all(np.diff(adjusted[order]) >= 0)
        assert adjusted.max() <= 1
    assert np.all(holm(p) >= benjamini_hochberg(p) - 1e-15)


def test_a_jackknife_of_means_is_the_interval_and_the_test_of_a_mean(rng):
    x = rng.standard_normal(12) + 0.3
    found = jackknife(x.mean(), [np.delete(x, i).mean() for i in range(12)])
    np.testing.assert_allclose(found.estimate, mean_interval(x))
    np.testing.assert_allclose(found.p, stats.ttest_1samp(x, 0, alternative="greater").pvalue)


def test_a_jackknife_over_groups_covers_a_correlation_as_often_as_it_says():
    draw = np.random.default_rng(0)

    def z(x, y):
        return np.arctanh(np.corrcoef(x, y)[0, 1])

    covered = 0
    for _ in range(400):
        x = draw.standard_normal(60)
        y = 0.6 * x + 0.8 * draw.standard_normal(60)
        without = [z(np.delete(x, g), np.delete(y, g)) for g in np.arange(60).reshape(10, 6)]
        found = jackknife(z(x, y), without).estimate
        covered += found.low < np.arctanh(0.6) < found.high
    assert 0.91 < covered / 400 < 0.98


@pytest.mark.parametrize(("whole", "p"), [(0.5, 0.0), (0.0, 1.0), (-0.5, 1.0)])
def test_a_jackknife_that_no_group_changes_is_certain(whole, p):
    assert jackknife(whole, [whole] * 4) == ((whole, whole, whole, 4), p)


@given(P_VALUES)
def test_holm_rejects_what_stepping_down_rejects(p):
    rejected, p = np.zeros(len(p), bool), np.asarray(p)
    for step, i in enumerate(np.argsort(p)):
        if p[i] * (len(p) - step) > 0.05:
            break
        rejected[i] = True
    np.testing.assert_array_equal(holm(p) <= 0.05, rejected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([1.0]), "values must hold at least 2 repetitions"),
        (lambda: mean_interval([1.0, np.nan]), "values must be finite, found 1"),
        (
            lambda: median_interval([1.0], confidence=95),
            r"confidence must be in \(0, 1\), found 95",
        ),
        (lambda: mean_interval(np.ma.array([1.0, 2, 3], mask=[0, 0, 1])), "with 1 masked values"),
        (lambda: spearman([2**60, 2**60 + 1, 0], [1, 2, 3]), "subtract the smallest of x"),
        (lambda: mean_interval([-2.0, 3.0], within=(0, np.inf)), "within .*found -2 to 3"),
        (lambda: mean_interval([1e308, 1e308]), r"values must be at most 1e\+150.*divide values"),
        (lambda: jackknife(1.0, [1.0]), "without must hold at least 2 repetitions"),
        (lambda: jackknife(np.inf, [1.0, 2.0]), "whole must be finite, found 1"),
        (lambda: paired_effect([1, 2, 3], [1, 2]), r"of one length, \(n,\), found shapes"),
        (lambda: spearman([1, 1, 1], [1, 2, 3]), "a constant has no rank correlation"),
        (
            lambda: spearman([1, 2, 3], [1, 2, 3], clusters=[0, 1]),
            "one for each of the 3 pairs, found 2",
        ),
        (
            lambda: spearman([1, 2, 3], [1, 2, 3], clusters=[0, 1, float("nan")]),
            "found NaN for pair 2",
        ),
        (
            lambda: spearman([1, 2, 3], [1, 2, 3], clusters=[0, 0, 0]),
            "clusters must be two at least",
        ),
        (lambda: page_trend([[1, 2], [1, 2]]), r"3 or more conditions\), found shape \(2, 2\)"),
        (lambda: holm([]), r"p must be \(m,\) p-values"),
        (lambda: benjamini_hochberg([0.5, 1.5]), r"p must be \(m,\) p-values"),
    ],
)
def test_bad_samples_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


SAMPLES = st.lists(arrays(np.float64, 5, elements=st.floats(-3, 9)), min_size=1, max_size=6)


@given(SAMPLES)
def test_simultaneous_intervals_leave_out_0_where_holm_rejects(samples):
    samples = [x for x in samples if np.ptp(x) > 1e-6]
    if not samples:
        return
    found = simultaneous([partial(mean_interval, x) for x in samples])
    p = holm([paired_effect(x, np.zeros(5)).p for x in samples])
    for x, one, adjusted in zip(samples, found, p, strict=True):
        assert one.low <= x.mean() <= one.high
        if abs(adjusted - 0.05) > 1e-9:
            assert (one.low > 0 or one.high < 0) == (adjusted < 0.05)


def test_no_intervals_are_refused():
    for corrected in (simultaneous, partial(least, confidence=0.9)):
        with pytest.raises(ValueError, match="intervals must hold one at least"):
            corrected([])


def test_signs_of_many_intervals_are_right_together_as_often_as_is_said():
    rng = np.random.default_rng(0)
    wrong = 0
    for draw in rng.normal(size=(400, 8, 6)):
        found = simultaneous([partial(mean_interval, x) for x in draw], confidence=0.9)
        wrong += any(one.low > 0 or one.high < 0 for one in found)
    assert wrong / 400 == pytest.approx(0.1, abs=0.04)


@given(arrays(np.float64, (6,), elements=st.floats(-1, 1)), st.floats(0.5, 0.999))
def test_an_interval_is_cut_to_the_range_of_the_values(x, confidence):
    free = mean_interval(x, confidence=confidence)
    cut = mean_interval(x, confidence=confidence, within=(-1, 1))
    assert (cut.low, cut.high) == (max(free.low, -1), min(free.high, 1))
    assert -1 <= cut.low <= cut.high <= 1
    with pytest.raises(ValueError, match="values must lie within"):
        mean_interval([*x, 1.1], within=(-1, 1))


@given(arrays(np.float64, 5, elements=st.floats(-9, 9)), st.floats(0.5, 0.999))
def test_an_interval_at_another_confidence_is_that_of_the_sample(x, confidence):
    found = at_confidence(mean_interval(x), freedom=4, confidence=confidence)
    np.testing.assert_allclose(found, mean_interval(x, confidence=confidence), atol=1e-9)


def test_the_least_of_several_covers_the_least_mean_as_often_as_it_says():
    means = np.array([0.0, 0.0, 0.5])
    draws = np.random.default_rng(0).normal(size=(800, 3, 6)) + means[:, None]
    found = [least([partial(mean_interval, x) for x in of], confidence=0.9) for of in draws]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.9
    # Values far apart cost nothing: the low end is that of the least one.
    one = least([partial(mean_interval, draws[0, 0] + shift) for shift in (0, 99)], confidence=0.9)
    assert one[:2] == mean_interval(draws[0, 0], confidence=0.9)[:2]


@given(arrays(np.float64, 5, elements=st.floats(-1, 1)), st.floats(0, 1))
def test_a_margin_is_above_0_where_the_whole_interval_is_within_the_tolerance(x, tolerance):
    interval = mean_interval(x, confidence=0.9)
    found = margin(partial(mean_interval, x), tolerance, confidence=0.9)
    assert found.low <= found.value <= found.high
    inside = -tolerance < interval.low and interval.high < tolerance
    outside = interval.low > tolerance or interval.high < -tolerance
    assert (found.low > 0, found.high < 0) == (inside, outside)


def test_clusters_are_what_a_rank_correlation_counts():
    x = np.arange(12.0)
    assert spearman(x, x**2, clusters=np.repeat([0, 1, 2], 4).tolist(), resamples=50).n == 3
    assert spearman(x, x**2, resamples=50).n == 12


def test_a_rank_correlation_over_few_clusters_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        # Six clusters that shift both values, without a relation.
        shift = rng.normal(size=(2, 6, 1))
        x, y = (shift + rng.normal(size=(2, 6, 4))).reshape(2, 24)
        found = spearman(x, y, clusters=np.repeat(range(6), 4).tolist(), resamples=200)
        covered += found.low <= 0 <= found.high
    assert 0.93 <= covered / 300 <= 1


@pytest.mark.parametrize("exponent", [-1000, -300, 300, 450])
def test_intervals_and_p_values_have_no_unit(exponent, rng):
    x, y = rng.standard_normal((2, 7, 3)) * [1, 2, 1e-5] + 1
    unit = 2.0**exponent

    def same(found, expected):
        np.testing.assert_allclose(np.divide(found[:3], unit), expected[:3], rtol=1e-12)

    same(mean_interval(x * unit), mean_interval(x))
    same(mean_difference(x * unit, y * unit), mean_difference(x, y))
    pairs = paired_effect(x[:, 0], y[:, 0])
    assert paired_effect(x[:, 0] * unit, y[:, 0] * unit)[1:] == pairs[1:]
    parts = jackknife(1.0, x[:, 0])
    found = jackknife(unit, x[:, 0] * unit)
    same(found.estimate, parts.estimate)
    assert found.p == parts.p
