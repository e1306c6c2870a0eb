import json
import shutil

import pytest

from jaxalign.cli.main import main


def test_show_prints_the_summary_of_a_run(trained, capsys):
    assert main(["show", str(trained.folder)]) == 0
    printed = capsys.readouterr().out
    assert "step 30 of 30 (finished)" in printed
    assert f"Page: {trained.folder / 'index.html'}" in printed


def test_show_explains_what_is_no_run(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err


def test_a_run_without_a_row_is_no_error_of_the_reader(trained, tmp_path, capsys):
    shutil.copytree(trained.folder, tmp_path / "run")
    (tmp_path / "run" / "history.jsonl").write_text("")
    assert main(["show", str(tmp_path / "run")]) == 1
    assert "has no row yet" in capsys.readouterr().err


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
    assert "train anew" in error
    assert (of_the_old_layout / "history.jsonl").read_bytes() == before
