import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.cli.main import main
from jaxalign.cli.train.options import Train, as_settings, from_settings
from jaxalign.cli.train.progress import TrainingDisplay

FILES = ("history.jsonl", "curve.npy", "null_curve.npy")


@pytest.mark.slow
def test_a_sweep_goes_on(undrawn, small, tmp_path, monkeypatch):
    """Both folders, from one checkpoint."""
    rates = ["--learning-rate", "1e-2", "1e-3"]
    every = ["--every", "5", "--steps", "150", "--checkpoint-every", "64"]
    settings = [*small, *rates, *every]
    assert main(["train", *settings, "--out", str(tmp_path / "whole")]) == 0

    def interrupted(display, part, update=TrainingDisplay.update):
        update(display, part)
        if part.step[-1] > 100:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingDisplay, "update", interrupted)
        assert main(["train", *settings, "--out", str(tmp_path / "cut")]) == 130
    assert main(["train", "--resume", str(tmp_path / "cut")]) == 0
    for rate in ("0.01", "0.001"):
        for file in FILES:
            whole = tmp_path / "whole" / f"learning-rate-{rate}" / file
            cut = tmp_path / "cut" / f"learning-rate-{rate}" / file
            assert whole.read_bytes() == cut.read_bytes()


def test_an_interrupted_run_says_how_far_it_came_and_keeps_its_rows(
    small, tmp_path, monkeypatch, capsys
):
    def interrupted(display, part, update=TrainingDisplay.update):
        update(display, part)
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingDisplay, "update", interrupted)
    folder = tmp_path / "run"
    assert main(["train", *small, "--steps", "5000", "--every", "32", "--out", str(folder)]) == 130
    history = ja.read_history(folder)
    done = re.search(r"Interrupted at step (\d+) of 5,000", capsys.readouterr().out)[1]
    assert history.step[-1] == int(done) > 0
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    assert "did not finish" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_ctrl_c_leaves_a_readable_run_and_says_how_far_it_came(small, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "jaxalign", "train", *small]
    command += ["--steps", "1000000", "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    rows = folder / "history.jsonl"
    try:
        deadline = time.monotonic() + 120
        while not rows.exists() or rows.stat().st_size == 0:
            assert time.monotonic() < deadline, "no row after two minutes"
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    history = ja.read_history(folder)
    done = int(re.search(r"Interrupted at step ([\d,]+) of 1,000,000", printed)[1].replace(",", ""))
    assert history.step[-1] == done > 0
    assert np.isfinite(history.layers["hidden_2"]["curve"]).all()
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    assert "did not finish" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(small, tmp_path):
    """SIGKILL at random moments, also within writes, until the run ends by itself."""
    settings = [*small, "--steps", "300", "--checkpoint-every", "30", "--every", "3"]
    assert main(["train", *settings, "--out", str(tmp_path / "whole")]) == 0
    folder = tmp_path / "killed"
    rows = folder / "history.jsonl"
    rng = np.random.default_rng(0)

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "jaxalign", "train", *arguments], stdout=subprocess.DEVNULL
        )

    def written():
        return rows.stat().st_size if rows.exists() else 0

    running = start(*settings, "--out", str(folder))
    kills = 0
    while kills < 3:
        size = written()
        while running.poll() is None and written() <= size:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if running.poll() is not None:
            break
        running.kill()
        running.wait()
        kills += 1
        running = start("--resume", str(folder))
    assert running.wait(120) == 0
    assert kills > 0
    for file in FILES:
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_resume_takes_no_other_option_and_leaves_a_finished_run_alone(trained, tmp_path, capsys):
    before = (trained.folder / "history.jsonl").read_bytes()
    assert main(["train", "--resume", str(trained.folder)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "is finished: there is nothing to go on with" in printed
    assert (trained.folder / "history.jsonl").read_bytes() == before
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(trained.folder), "--steps", "20"])
    printed = capsys.readouterr()
    assert "leave out --steps" in " ".join((printed.out + printed.err).replace("│", " ").split())
    assert main(["train", "--resume", str(tmp_path / "none")]) == 1
    assert "holds no run" in capsys.readouterr().err


def test_a_run_that_was_killed_while_it_was_reported_is_reported(trained, tmp_path, undrawn):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    (folder / "result.json").unlink()
    before = (folder / "history.jsonl").read_bytes()
    assert main(["train", "--resume", str(folder)]) == 0
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["steps_done"]) == ("finished", 30)
    assert (folder / "history.jsonl").read_bytes() == before


def test_a_run_that_train_did_not_make_is_not_resumed(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"note": "a run of mine"}))
    assert main(["train", "--resume", str(tmp_path)]) == 1
    assert "`jaxalign train` did not make" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"optimizer": "adam"}, {"rate": 1e-3}, {"measure": "exact"}])
def test_settings_of_another_version_are_refused_by_name(tmp_path, change):
    settings = json.loads(json.dumps(as_settings(Train())))
    assert from_settings(settings, tmp_path) == Train(out=tmp_path)
    with pytest.raises(
        ValueError,
        match=f"made by another version of jaxalign, with other settings: {next(iter(change))}",
    ):
        from_settings({**settings, **change}, tmp_path)


def test_settings_are_read_as_they_were_written(tmp_path):
    config = Train(
        model="resnet18",
        classes=("1", "2"),
        checkpoint=tmp_path / "w.npz",
        learning_rate=(0.1, 0.2),
        thresholds=(1.0,),
        num_samples=50,
        defer=True,
        out=tmp_path,
    )
    assert from_settings(json.loads(json.dumps(as_settings(config))), tmp_path) == config
