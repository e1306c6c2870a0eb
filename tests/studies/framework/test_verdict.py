"""Cells and studies are judged by where their intervals lie."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign.statistics import Estimate, mean_interval
from jaxalign.studies.framework.verdict import Judged, Verdict, judged

NUMBERS = st.floats(-2, 2)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted), min_size=1, max_size=6))
def test_an_outcome_is_where_the_interval_lies_and_all_cells_are_counted(intervals):
    cells = [Judged(str(i), Estimate(x, a, b, 3)) for i, (a, x, b) in enumerate(intervals)]
    for cell in cells:
        signs = {np.sign(cell.effect.low), np.sign(cell.effect.high)}
        assert (cell.outcome == "supported") == (signs == {1})
        assert (cell.outcome == "contradicted") == (signs == {-1})
    verdict = Verdict(cells[0].effect, "area", "networks", cells)
    assert verdict.outcome == cells[0].outcome
    assert sum(verdict.counts().values()) == len(cells)
    if cells[0].effect.low <= 0:
        assert not verdict.line().startswith("supported")


def test_a_verdict_in_one_line_says_outcome_effect_units_and_how_many_cells():
    cells = [Judged("a", Estimate(1, 0.5, 2, 3)), Judged("b", Estimate(-1, -2, -0.5, 3))]
    verdict = Verdict(Estimate(0.123456, -1, 12345.6, n=7), "area", "networks", cells)
    assert verdict.line() == (
        "undecided: area: 0.123 [-1, 1.23e+04] over 7 networks; "
        "of 2 cells 1 supported, 0 undecided, 1 contradicted"
    )
    assert [str(cell) for cell in verdict.named("contradicted")] == ["b: -1 [-2, -0.5]"]


def test_cells_are_corrected_for_one_another():
    weak = partial(mean_interval, [1.0, 2.0, 1.5, 0.7])
    (alone,) = judged({"weak": weak})
    assert alone.outcome == "supported"
    together = judged({"weak": weak, **{str(i): partial(mean_interval, [-1, 1]) for i in range(9)}})
    assert {cell.outcome for cell in together} == {"undecided"}


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_outside_0_and_1_is_refused(level):
    with pytest.raises(ValueError, match="confidence must be in "):
        judged({"a": partial(mean_interval, [1.0, 2.0])}, level=level)
