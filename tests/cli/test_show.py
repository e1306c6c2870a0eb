import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.cli.main import main
from jaxalign.cli.show.options import Show
from jaxalign.inspection import Inspected, Inspection, LayerPlan, save


def test_show_prints_the_summary_of_a_run(trained, capsys):
    assert main(["show", str(trained.folder)]) == 0
    printed = capsys.readouterr().out
    assert "step 30 of 30 (finished)" in printed
    assert f"Page: {trained.folder / 'index.html'}" in printed


def test_show_explains_what_is_no_run(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err


def test_a_step_is_not_shown_by_itself(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert main(["show", str(tmp_path / "run@3")]) == 1
    assert "leave out @3, which is for `jaxalign compare`" in capsys.readouterr().err


def test_a_run_without_a_row_is_no_error_of_the_reader(trained, tmp_path, capsys):
    shutil.copytree(trained.folder, tmp_path / "run")
    (tmp_path / "run" / "history.jsonl").write_text("")
    assert main(["show", str(tmp_path / "run")]) == 1
    assert "has no row yet" in capsys.readouterr().err


@pytest.fixture
def two(trained, tmp_path):
    """The run twice, of which the second one was cut off after step 20."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        shutil.copytree(trained.folder, folder)
    rows = folders[1] / "history.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:21]))
    return list(map(str, folders))


def test_json_is_all_that_is_printed_and_holds_every_number(trained, capsys):
    assert main(["show", str(trained.folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["status"], content["step"], content["models"]) == ("finished", 30, None)
    history = ja.read_history(trained.folder)
    assert list(content["layers"]) == list(history.layers)
    for layer, logged in history.layers.items():
        shown = content["layers"][layer]
        assert shown["total"] == history.totals[layer]
        for measure, values in shown["over_total"].items():
            expected = logged[measure][-1] / history.totals[layer]
            np.testing.assert_allclose(values["trained"], expected, rtol=1e-5)
    assert content["config"] == ja.runs.read_config(trained.folder)


def test_csv_has_a_row_per_step_and_layer(trained, capsys):
    assert main(["show", str(trained.folder), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    history = ja.read_history(trained.folder)
    assert len(rows) == 31 * len(history.layers)
    last = [row for row in rows if row["step"] == "30"]
    assert [row["layer"] for row in last] == list(history.layers)
    for row in last:
        assert np.float32(row["area"]) == history.layers[row["layer"]]["area"][-1]
        assert np.float32(row["loss"]) == history.loss[-1]


def test_several_runs_are_compared_and_leave_a_page(two, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jaxalign.cli.show.command.runs_page", lambda found: found.notes[0])
    page = tmp_path / "page"
    assert main(["show", *two, "--out", str(page)]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # as wide as the terminal is
    assert f"A: {two[0]}" in printed
    assert "B − A" in printed
    assert f"{two[0]} goes on to step 30." in printed
    assert (page / "index.html").read_text(encoding="utf-8").startswith("A run of one network")
    assert main(["show", *two, "--out", str(page)]) == 1
    assert "already holds index.html" in capsys.readouterr().err


def test_several_runs_as_json_and_csv(two, capsys):
    assert main(["show", *two, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in content["runs"]] == two
    assert {row["step"] for row in content["differences"]} == {20}
    assert all(row["differences"][two[1]]["value"] == 0 for row in content["differences"])
    assert main(["show", *two, "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {row["run"] for row in rows} == set(two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": ()}, "runs must be at least one folder"),
        ({"runs": ("a", "b", "c/../a")}, r"different ones, found one as a, c/../a"),
        ({"runs": ("a",), "json": True, "csv": True}, "leave out one of them"),
        ({"runs": ("a",), "out": "x"}, "one run has its own page; leave out --out"),
        ({"runs": ("a", "b"), "csv": True, "out": "x"}, "--csv prints alone; leave out --out"),
    ],
)
def test_options_that_say_nothing_are_refused(options, message):
    folders = tuple(map(Path, options["runs"]))
    with pytest.raises(ValueError, match=message):
        Show(**options | {"runs": folders})


def test_an_inspection_is_no_run_to_compare(two, tmp_path, capsys):
    (tmp_path / "inspection").mkdir()
    (tmp_path / "inspection" / "layers.json").write_text("{}")
    assert main(["show", two[0], str(tmp_path / "inspection")]) == 1
    assert "is not a run but an inspection or a comparison" in capsys.readouterr().err


def test_an_inspection_has_numbers_for_programs_too(tmp_path, capsys):
    out = str(tmp_path / "inspection")
    spectrum, null = ja.alignment.spectrum_and_null(np.eye(3, 2), np.ones(3))
    layers = {"a": LayerPlan((1, 2), "float32", "mean", 2, 2)}
    inspection = Inspection({"a": spectrum}, {"a": null}, layers, {}, 3.0)
    save(out, Inspected(inspection, (0.5, 2.0), {"title": "three rows"}))
    assert main(["show", out, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert main(["show", out, "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["name"] for row in rows] == [layer["name"] for layer in content["layers"]]
    tau = content["thresholds"][0]
    for row, layer in zip(rows, content["layers"], strict=True):
        assert float(row["area"]) == layer["area"]
        assert float(row[f"alignment_{tau:g}"]) == layer["alignment"][0]


def test_a_run_of_ones_own_loop_has_a_summary(tmp_path, capsys):
    step = np.arange(3)
    writer = ja.RunWriter(tmp_path / "own", {"rate": float("nan")})
    layers = {"a": {"area": np.ones(3, np.float32)}}
    writer.write(ja.History(step, step, np.ones(3), {}, layers, {}, {"a": 2.0}))
    assert main(["show", str(tmp_path / "own")]) == 0
    assert "step 2 (running, or killed)" in capsys.readouterr().out
    assert main(["show", str(tmp_path / "own"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert content["config"]["rate"] is None
    assert content["layers"]["a"]["over_total"]["area"] == {"untrained": 0.5, "trained": 0.5}


@pytest.fixture
def of_the_old_layout(trained, tmp_path):
    """A run as version 0.1.0's first layout had it: settings and measures by their old names."""
    folder = tmp_path / "old"
    shutil.copytree(trained.folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = config["train"]
    settings["measure"] = settings.pop("method")
    settings["samples"] = settings.pop("num_samples")
    settings["probe_size"] = settings.pop("monitor_size")
    config["probe"] = config.pop("monitor")
    config["measured"] = {
        "layers": config["measured"]["layers"],
        "thresholds": [1.0, 3.0],
        "grid": [0.0, 10.0],
        "total": 100.0,
        "metrics": ["accuracy"],
        "models": None,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_a_run_of_the_old_layout_is_refused_by_name(of_the_old_layout, capsys):
    assert main(["show", str(of_the_old_layout)]) == 1
    error = capsys.readouterr().err
    assert str(of_the_old_layout) in error
    assert len(error.splitlines()) == 1


def test_a_run_of_the_old_layout_is_not_resumed(of_the_old_layout, capsys):
    before = (of_the_old_layout / "history.jsonl").read_bytes()
    assert main(["train", "--resume", str(of_the_old_layout)]) == 1
    error = capsys.readouterr().err
    assert (
        "other settings: measure, method, monitor_size, num_samples, probe_size, samples" in error
    )
    assert "train again" in error
    assert (of_the_old_layout / "history.jsonl").read_bytes() == before
