"""The committed results in studies/: their tables and verdicts come out again."""

from pathlib import Path

import pandas as pd
import pytest

from jaxalign.studies.framework.catalogue import STUDIES, study
from jaxalign.studies.framework.rejudge import measured_config, verdict_on
from jaxalign.studies.framework.results import read_result
from jaxalign.studies.framework.table import read_table, write_table

COMMITTED = Path(__file__).parents[2] / "studies"
# Their verdicts take seconds.
LONG = ("speed", "pretrained")


def committed_table(name: str) -> pd.DataFrame:
    return read_table(COMMITTED / name / "table.csv")


@pytest.mark.parametrize("name", STUDIES)
def test_reading_and_writing_a_table_gives_the_same_text(name, tmp_path):
    file = tmp_path / "table.csv"
    table = committed_table(name)
    write_table(table, file)
    assert file.read_bytes() == (COMMITTED / name / "table.csv").read_bytes()
    assert len(table) == read_result(COMMITTED / name).rows


@pytest.mark.parametrize("name", STUDIES)
def test_a_committed_result_is_of_the_study_as_it_is(name):
    result = read_result(COMMITTED / name)
    now = study(name)
    assert (result.claim, result.source, result.comparison) == (
        now.claim,
        now.source,
        now.comparison,
    )
    config = measured_config(now, result.size, result.config)
    earlier = any("Measured with the earlier design" in note for note in result.verdict.notes)
    assert earlier == (config != now.sizes[result.size])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in STUDIES]
)
def test_the_verdict_on_a_committed_table_is_the_committed_one(name):
    result = read_result(COMMITTED / name)
    verdict = verdict_on(study(name), result.size, result.config, committed_table(name))
    committed = result.verdict
    assert verdict._replace(effect=None, cells=(), notes=()) == committed._replace(
        effect=None, cells=(), notes=()
    )
    assert list(verdict.notes) == list(committed.notes)
    assert [(cell.name, cell.outcome) for cell in verdict.cells] == [
        (cell.name, cell.outcome) for cell in committed.cells
    ]
    # The order of ranks that nearly agree can depend on the library.
    assert verdict.effect == pytest.approx(committed.effect, abs=1e-3)


@pytest.mark.parametrize("name", STUDIES)
def test_no_interval_of_a_share_or_a_correlation_is_wider_than_its_range(name):
    verdict = read_result(COMMITTED / name).verdict
    for effect in (verdict.effect, *(cell.effect for cell in verdict.cells)):
        assert -1 <= effect.low <= effect.value <= effect.high <= 1
