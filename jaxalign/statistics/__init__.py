"""Estimates with intervals, paired effects, rank statistics, and corrections for many p-values."""

from jaxalign.statistics._corrections import benjamini_hochberg, holm
from jaxalign.statistics._estimate import Estimate
from jaxalign.statistics._intervals import (
    Jackknifed,
    at_confidence,
    jackknife,
    mean_difference,
    mean_interval,
    median_interval,
)
from jaxalign.statistics._paired import Paired, paired_effect
from jaxalign.statistics._rank import Trend, page_trend, spearman
from jaxalign.statistics._simultaneous import Interval, least, margin, simultaneous

__all__ = [
    "Estimate",
    "Interval",
    "Jackknifed",
    "Paired",
    "Trend",
    "at_confidence",
    "benjamini_hochberg",
    "holm",
    "jackknife",
    "least",
    "margin",
    "mean_difference",
    "mean_interval",
    "median_interval",
    "page_trend",
    "paired_effect",
    "simultaneous",
    "spearman",
]
