"""The program for a day with an accelerator, on a CPU and small problems."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
STAGES = ("where", "right", "spectrum", "batch", "step", "train", "routes", "large")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_results_that_hold(tmp_path, monkeypatch, stage):
    monkeypatch.syspath_prepend(str(FOLDER))
    driver = importlib.import_module("on_device")
    stages = importlib.import_module("_device_stages")
    assert set(driver.LIMITS) == set(stages.STAGES) == set(STAGES)
    results = driver.Results(tmp_path / "results.jsonl", seconds=120, tiny=True, images=None)
    stages.STAGES[stage](results)
    rows = driver.read_rows(results.file)
    assert rows
    assert all(row.get("ok", True) for row in rows)


@pytest.mark.slow
def test_one_command_writes_what_each_stage_found(tmp_path):
    """In an environment without the packages of the command line, and without jaxalign."""
    (tmp_path / "tyro.py").write_text("raise ImportError")
    command = [sys.executable, FOLDER / "on_device.py", "--tiny", "--only", "where"]
    process = subprocess.run(
        [*command, "--seconds", "200", "--out", tmp_path / "new" / "folder"],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu"},
    )
    assert process.returncode == 0, process.stderr
    file = tmp_path / "new" / "folder" / "on-device.json"
    stages = json.loads(file.read_text(encoding="utf-8"))["stages"]
    assert list(stages) == ["where"]
    assert stages["where"]["status"] == "done"
    assert stages["where"]["results"][0]["platform"] == "cpu"
