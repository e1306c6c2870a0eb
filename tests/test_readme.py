import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from jaxalign.cli.environment import environment
from jaxalign.studies.framework.run import run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tables():
    """benchmarks/readme_table.py as a module."""
    file = ROOT / "benchmarks" / "readme_table.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_committed_results(tables):
    for file, with_tables in ((tables.README, tables.readme), (tables.ACCURACY, tables.accuracy)):
        committed = file.read_text(encoding="utf-8")
        assert with_tables(committed) == committed


def test_a_row_a_study_that_says_what_came_out_and_in_which_cells(tables, coins, tmp_path):
    for name in ("speed", "depth"):
        named = replace(coins, name=name, claim="Coins | notes are fair.")
        run(named, "small", tmp_path / name, environment=environment())
    text = "before\n<!-- claims -->\nold\n<!-- end of claims -->\nafter\n"
    found = tables.readme(text, tmp_path)
    assert tables.readme(found, tmp_path) == found
    assert found.startswith("before\n")
    assert found.endswith("after\n")
    assert "\nold\n" not in found
    rows = [line for line in found.splitlines() if line.startswith("| [")]
    assert [row.split("]")[0] for row in rows] == ["| [depth", "| [speed"]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1:4] == [
            "Coins &#124; notes are fair. (ours)",
            "with loaded coins",
            "**contradicted**",
        ]
        assert cells[4].startswith("nearness of heads to one half: -0.1")
        assert cells[5] == "2 supported, 0 undecided, 2 contradicted"
    assert "*size small, 4 × cpu (cpu), " in found


def test_what_was_measured_elsewhere_is_told_by_study(tables, coins, tmp_path):
    for name, host in (("layers", "a"), ("depth", "b"), ("speed", "a")):
        where = environment() | {"host": host}
        run(replace(coins, name=name), "small", tmp_path / name, environment=where)
    found = tables.readme("<!-- claims -->\n<!-- end of claims -->\n", tmp_path)
    assert "*depth: size small, 4 × cpu (cpu), b, " in found
    assert ". layers, speed: size small, 4 × cpu (cpu), a, " in found
