"""The committed results in studies/: their tables and verdicts come out again."""

from pathlib import Path

import pandas as pd
import pytest

from jaxalign.studies.framework.catalogue import STUDIES, study
from jaxalign.studies.framework.results import read_result
from jaxalign.studies.framework.table import write_table

COMMITTED = Path(__file__).parents[2] / "studies"
# Their verdicts draw tens of thousands of bootstrap samples.
LONG = ("speed", "transfer")


def committed_table(name: str) -> pd.DataFrame:
    return pd.read_csv(
        COMMITTED / name / "table.csv",
        keep_default_na=False,
        na_values=["nan"],
        low_memory=False,
    )


def as_tuples(value):
    """A value of JSON, with tuples for lists."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


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
    config = study(name).sizes[result.size]
    assert (result.claim, result.source) == (study(name).claim, study(name).source)
    assert config == type(config)(**{key: as_tuples(v) for key, v in result.config.items()})


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in STUDIES]
)
def test_the_verdict_on_a_committed_table_is_the_committed_one(name):
    result = read_result(COMMITTED / name)
    verdict = study(name).verdict(study(name).sizes[result.size], committed_table(name))
    assert verdict.outcome == result.verdict.outcome
    assert verdict.of == result.verdict.of
    assert verdict.cells == result.verdict.cells
    assert list(verdict.failing) == list(result.verdict.failing)
    assert list(verdict.notes) == list(result.verdict.notes)
    # The table has seven digits, which can change the order of ranks that nearly agree.
    assert verdict.effect == pytest.approx(result.verdict.effect, abs=1e-3)
