import csv
import json
import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from jaxalign.statistics import Estimate
from jaxalign.studies.framework.rejudge import rejudge
from jaxalign.studies.framework.results import (
    as_json,
    as_verdict,
    read_result,
    read_results,
    write_result,
)
from jaxalign.studies.framework.run import run
from jaxalign.studies.framework.verdict import Judged, Verdict

HERE = {
    "device": "1 × cpu (cpu)",
    "started": "2026-01-31T23:59:59+00:00",
    "versions": {"jax": "0.10"},
}
THERE = {
    "device": "1 × tpu (tpu)",
    "started": "2026-02-01T00:00:01+00:00",
    "versions": {"jax": "0.11", "numpy": "2.4"},
}
DRAWINGS = ("figure.svg", "figure_narrow.svg")
FILES = {"cells.jsonl", "table.csv", "result.json", "figure.png", *DRAWINGS}


def interrupted_at(study, number):
    """The study, whose ``number``-th measurement is interrupted."""
    calls = iter(range(100))

    def measure(config, cell):
        if next(calls) == number:
            raise KeyboardInterrupt
        return study.measure(config, cell)

    return replace(study, measure=measure)


def measured(study):
    """The study and a list that keeps the cells it measures from now on."""
    cells = []

    def measure(config, cell):
        cells.append(cell)
        return study.measure(config, cell)

    return replace(study, measure=measure), cells


def contents(folder):
    """What is in a folder, but for how long it took."""
    held = {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "cells.jsonl"}
    held["result.json"] = json.loads(held["result.json"]) | {"seconds": None}
    return held


def test_leaves_table_figure_and_a_result_that_says_what_it_was_measured_on(coins, tmp_path):
    result = run(coins, "small", tmp_path / "new" / "folder", environment=HERE)
    folder = tmp_path / "new" / "folder"
    assert {file.name for file in folder.iterdir()} == FILES
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    for name in DRAWINGS:
        assert "nearness of heads" in (folder / name).read_text(encoding="utf-8")
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )

    rows = list(csv.DictReader((folder / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["metal", "chance", "seed", "heads"]
    assert [r["metal"] for r in rows] == result.table["metal"].tolist()
    assert [float(r["heads"]) for r in rows] == result.table["heads"].tolist()

    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert content["line"] == result.verdict.line()
    kept = read_result(folder)
    assert (kept.study, kept.claim, kept.source, kept.size, kept.rows) == (
        "emergence",
        "Coins are fair.",
        "ours",
        "small",
        80,
    )
    assert kept.config == {"chances": [0.5, 0.9], "seeds": 20}
    assert kept.verdict == result.verdict._replace(notes=list(result.verdict.notes))
    assert (kept.date, kept.command, kept.environment) == (
        "2026-01-31",
        "jaxalign study emergence --size small",
        HERE,
    )


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_interrupted_study_goes_on_with_the_cell_that_was_interrupted(coins, tmp_path, number):
    run(coins, "small", tmp_path / "whole", environment=HERE)
    with pytest.raises(KeyboardInterrupt):
        run(interrupted_at(coins, number), "small", tmp_path / "cut", environment=HERE)
    assert not (tmp_path / "cut" / "result.json").exists()
    again, cells = measured(coins)
    seen = []
    run(again, "small", tmp_path / "cut", environment=HERE, progress=lambda *a: seen.append(a))
    design = coins.cells(coins.sizes["small"])
    assert cells == design[number:]
    assert seen == [(i, 4, design[i]) for i in range(number, 4)]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_last_line_is_measured_anew(coins, tmp_path, cut):
    run(coins, "small", tmp_path / "whole", environment=HERE)
    run(coins, "small", tmp_path / "torn", environment=HERE)
    file = tmp_path / "torn" / "cells.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    again, cells = measured(coins)
    run(again, "small", tmp_path / "torn", environment=HERE)
    assert cells == coins.cells(coins.sizes["small"])[-1:]
    assert len(file.read_text(encoding="utf-8").splitlines()) == 5
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")


def test_a_torn_heading_begins_anew(coins, tmp_path):
    (tmp_path / "cells.jsonl").write_text('{"study": "emer')
    again, cells = measured(coins)
    run(again, "small", tmp_path, environment=HERE)
    assert len(cells) == 4


def test_a_finished_study_is_drawn_again_and_still_says_what_it_was_measured_on(coins, tmp_path):
    run(coins, "small", tmp_path, environment=HERE)
    again, cells = measured(coins)
    run(again, "small", tmp_path, environment=THERE)
    assert not cells
    assert read_result(tmp_path).environment == HERE
    assert read_result(tmp_path).date == "2026-01-31"


def test_cells_of_two_devices_and_versions_name_both(coins, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(interrupted_at(coins, 2), "small", tmp_path, environment=HERE)
    run(coins, "small", tmp_path, environment=THERE)
    kept = read_result(tmp_path)
    assert kept.environment["device"] == "1 × cpu (cpu); 1 × tpu (tpu)"
    assert kept.environment["versions"] == {"jax": "0.10; 0.11", "numpy": "2.4"}
    assert kept.date == "2026-02-01"


def other_size(study):
    return study, "paper"


def other_config(study):
    sizes = {"small": replace(study.sizes["small"], seeds=3)}
    return replace(study, sizes=sizes), "small"


def other_study(study):
    return replace(study, name="depth"), "small"


@pytest.mark.parametrize("other", [other_size, other_config, other_study])
def test_cells_of_something_else_are_refused_and_left_as_they_are(coins, tmp_path, other):
    run(coins, "small", tmp_path, environment=HERE)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    study, size = other(coins)
    with pytest.raises(
        ValueError,
        match=r"another study, size or configuration, .*; name another folder, or delete it",
    ):
        run(study, size, tmp_path, environment=HERE)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_damaged_line_in_the_middle_is_named(coins, tmp_path):
    run(coins, "small", tmp_path, environment=HERE)
    file = tmp_path / "cells.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[2] = lines[2][:50] + "\n"
    file.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(
        ValueError,
        match=r"line 3 of .*cells.jsonl is damaged .* delete that line, to measure it again",
    ):
        run(coins, "small", tmp_path, environment=HERE)


def test_a_result_is_replaced_in_one_move(coins, tmp_path, monkeypatch):
    """Whoever is killed while writing leaves the result that was there."""
    run(coins, "small", tmp_path, environment=HERE)
    before = (tmp_path / "result.json").read_bytes()

    def killed(file, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jaxalign._core.jsonl.Path.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_result(read_result(tmp_path)._replace(date="2026-03-01"), tmp_path)
    assert (tmp_path / "result.json").read_bytes() == before
    run(coins, "small", tmp_path, environment=HERE)
    assert {file.name for file in tmp_path.iterdir()} == FILES


def test_an_environment_without_device_is_refused_before_anything_is_measured(coins, tmp_path):
    study, cells = measured(coins)
    with pytest.raises(ValueError, match="lacks device"):
        run(study, "small", tmp_path / "new", environment={"started": "2026-01-31"})
    assert not cells
    assert not (tmp_path / "new").exists()


def test_a_verdict_survives_json():
    verdict = Verdict(
        Estimate(np.float32(1 / 3), -1e-9, math.inf, n=np.int64(5)),
        "σ of ‖y‖²",
        "networks",
        [Judged("a", Estimate(0.5, 0.25, 0.75, n=2)), Judged("b", Estimate(-1.0, -2.0, -0.5, n=2))],
        ["one"],
    )
    assert as_verdict(json.loads(json.dumps(as_json(verdict)))) == verdict


def test_results_of_a_folder_come_in_the_order_of_the_catalogue(coins, tmp_path):
    for name in ("speed", "demo", "depth", "elsewhere"):
        run(replace(coins, name=name), "small", tmp_path / name, environment=HERE)
    (tmp_path / "labels").mkdir()  # begun, and not finished
    assert list(read_results(tmp_path)) == ["depth", "speed", "demo"]
    (tmp_path / "depth" / "result.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"depth/result.json is not a result of a study .* run the study again"
    ):
        read_results(tmp_path)


def test_a_configuration_may_hold_tuples_and_nested_configurations(coins, tmp_path):
    """What JSON makes of them is what a folder is compared with."""

    @dataclass(frozen=True)
    class Nested:
        inner: object
        chances: tuple[float, ...] = (0.5,)
        seeds: int = 2

    study = replace(coins, sizes={"small": Nested(coins.sizes["small"])})
    for _ in range(2):
        run(study, "small", tmp_path, environment=HERE)
    assert read_result(tmp_path).config["inner"]["chances"] == [0.5, 0.9]


def test_a_finished_study_is_judged_again_from_its_table(coins, tmp_path):
    run(coins, "small", tmp_path, environment=HERE)
    (tmp_path / "cells.jsonl").unlink()
    before = {name: data for name, data in contents(tmp_path).items() if name != "figure.png"}
    again, cells = measured(replace(coins, claim="Coins are fair, mostly."))
    (tmp_path / "figure.png").unlink()
    finished = rejudge(again, tmp_path)
    assert not cells
    after = contents(tmp_path)
    assert after.pop("figure.png").startswith(b"\x89PNG")
    before["result.json"]["claim"] = finished.claim
    # The table has seven digits.
    for content in (before, after):
        content["result.json"].pop("verdict")
    assert after == before


def test_a_result_of_an_earlier_design_says_so(coins, tmp_path):
    run(coins, "small", tmp_path, environment=HERE)
    other, _ = other_config(coins)
    finished = rejudge(other, tmp_path)
    assert finished.verdict.notes[-1] == "Measured with the earlier design: seeds 20 (now 3)."
    assert finished.config["seeds"] == 20


def test_a_result_of_another_study_is_not_judged(coins, tmp_path):
    run(coins, "small", tmp_path, environment=HERE)
    with pytest.raises(ValueError, match="is of the study 'emergence', not of 'depth'"):
        rejudge(replace(coins, name="depth"), tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is not a result of emergence .* run the study again"):
        rejudge(coins, tmp_path)
