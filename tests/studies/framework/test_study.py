import pytest

from jaxalign.statistics import Estimate
from jaxalign.studies.framework.catalogue import STUDIES, study
from jaxalign.studies.framework.study import Verdict


@pytest.mark.parametrize(
    ("outcome", "failing", "told"),
    [
        ("holds", [], "in all of 3 cells"),
        ("holds in part", ["a"], "fails in 1 of 3 cells"),
        ("does not hold", ["a", "b", "c"], "fails in 3 of 3 cells"),
        ("does not hold", [], "no single cell fails"),
    ],
)
def test_a_verdict_in_one_line_says_outcome_effect_interval_and_where(outcome, failing, told):
    verdict = Verdict(outcome, Estimate(0.123456, -1, 12345.6, n=7), "area", failing, cells=3)
    assert verdict.line() == f"{outcome}: area: 0.123 [-1, 1.23e+04], n = 7; {told}"


def test_a_study_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(
        ValueError, match=r"there is no study 'emergency'; studies are emergence, depth, .*, demo"
    ):
        study("emergency")
    with pytest.raises(ValueError, match="there is no study 'run'"):  # a module, and no study
        study("run")


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_catalogue_is_complete(name):
    found = study(name)
    assert found.name == name
    assert set(found.sizes) == {"small", "paper"}
    assert found.claim.endswith(".")
    assert found.source
    for config in found.sizes.values():
        cells = found.cells(config)
        assert len({tuple(sorted(cell.items())) for cell in cells}) == len(cells) > 0
