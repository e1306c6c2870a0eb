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
from jaxalign.cli.train.recipe import load_task
from jaxalign.cli.train.resume import saved_config

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


@pytest.mark.slow
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


@pytest.fixture(scope="session")
def cut(small, tmp_path_factory):
    """The folder of a run with two checkpoints that was stopped twice; a test takes a copy."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    settings = [*small, "--steps", "400", "--every", "8", "--checkpoint-every", "64"]

    def stopped(display, part):
        if part.step[-1] > 150:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingDisplay, "update", stopped)
        patch.setattr("jaxalign.cli.train.runs._write_report", lambda folder, *_: folder)
        assert main(["train", *settings, "--out", str(folder)]) == 130
    assert len(ja.Checkpoints(folder / "checkpoints").steps()) == 2
    return folder


def emptied(name):
    def damage(folder):
        (folder / name).write_bytes(b"")

    return damage


def deleted(name):
    def damage(folder):
        (folder / name).unlink()

    return damage


def cut_rows(folder):
    file = folder / "history.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:50]))


def damaged_row(folder):
    file = folder / "history.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:30], lines[30][:40] + b"\n", *lines[31:]]))


def no_checkpoint_left(folder):
    for file in (folder / "checkpoints").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def another_runs_checkpoint(folder):
    """As if the folder of another run had been copied here."""
    for step in ja.Checkpoints(folder / "checkpoints").steps():
        file = folder / "checkpoints" / str(step) / "settings" / "metadata"
        content = json.loads(file.read_text())
        content["digests"]["training data"] = "of other data"
        file.write_text(json.dumps(content))
        (file.parents[1] / "files.json").unlink()


def of_another_command(folder):
    (folder / "config.json").write_text(json.dumps({"note": "a run of mine"}))


def of_no_train(folder):
    content = json.loads((folder / "config.json").read_text())
    content["train"]["steps"] = "many"
    (folder / "config.json").write_text(json.dumps(content))


DAMAGE = [
    (emptied("config.json"), "config.json is damaged or empty"),
    (of_another_command, "config.json is of a run that `jaxalign train` did not make"),
    (of_no_train, "config.json holds settings that no run can have"),
    (deleted("config.json"), "there is no config.json in it"),
    (deleted("curve.npy"), "curve.npy must hold"),
    (emptied("null_curve.npy"), "null_curve.npy must hold"),
    (damaged_row, "line 31 of .*history.jsonl is damaged"),
    (cut_rows, "must hold the 128 rows of its checkpoint at step 128, found 50; delete .*128 to"),
    (deleted("history.jsonl"), "must hold the 128 rows of its checkpoint at step 128, found 0"),
    (no_checkpoint_left, "cannot be read, and there is none before; delete"),
    (another_runs_checkpoint, "is of another run: .* other training data"),
]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(*case, marks=() if i == 0 else pytest.mark.slow)
        for i, case in enumerate(DAMAGE)
    ],
)
def test_a_damaged_run_is_told_before_it_trains(
    cut, task_of_cut, tmp_path, capsys, monkeypatch, damage, message
):
    folder = shutil.copytree(cut, tmp_path / "run")
    damage(folder)
    before = {file: file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}
    monkeypatch.setattr("jaxalign.cli.train.command.load_task", lambda config: task_of_cut)
    assert main(["train", "--resume", str(folder)]) == 1
    told = capsys.readouterr()
    assert re.search(message, told.err), told.err
    assert "step 1" not in told.out
    after = {file: file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}
    assert before == after


@pytest.fixture(scope="session")
def task_of_cut(cut):
    """What the run trains, loaded once."""
    return load_task(saved_config(cut)[0])


@pytest.mark.slow
def test_two_that_go_on_with_one_run_leave_it_whole(cut, small, tmp_path, undrawn):
    """The second one is refused while the first one trains. It begins at the checkpoint before the
    newest, which is damaged.
    """
    folder = shutil.copytree(cut, tmp_path / "run")
    newest = ja.Checkpoints(folder / "checkpoints").steps()[-1]
    shutil.rmtree(folder / "checkpoints" / str(newest) / "settings")
    settings = [*small, "--steps", "400", "--every", "8", "--checkpoint-every", "64"]
    command = [sys.executable, "-m", "jaxalign", "train", "--resume", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as first:
        deadline = time.monotonic() + 120
        while not (folder / ".lock").exists():
            assert time.monotonic() < deadline
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)
        second = subprocess.run(command, capture_output=True, text=True, timeout=300)
        first.send_signal(signal.SIGCONT)
        printed = first.communicate(timeout=300)[0]
    assert (second.returncode, first.returncode) == (1, 0), printed
    assert f"is in use by process {first.pid} on" in second.stderr
    assert main(["train", *settings, "--out", str(tmp_path / "whole")]) == 0
    for file in FILES:
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_a_run_that_is_replaced_may_not_be_running(trained, small, tmp_path, capsys, monkeypatch):
    """Neither its files nor its checkpoints are deleted."""
    folder = shutil.copytree(trained.folder, tmp_path / "run")

    def in_use(folder):
        raise BlockingIOError(f"{folder} is in use by process 7")

    monkeypatch.setattr("jaxalign.runs._run_writer.FolderLock", in_use)
    before = sorted(folder.rglob("*"))
    assert main(["train", *small, "--out", str(folder), "--overwrite"]) == 1
    assert "is in use by process 7" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("rates", [("1e-2",), ("1e-2", "1e-3")], ids=["one run", "a sweep"])
def test_runs_of_other_step_sizes_are_no_part_of_a_sweep(trained, small, tmp_path, capsys, rates):
    """They would be shown, and resumed, as if they were: also with --overwrite."""
    folder = tmp_path / "runs"
    other = folder / "learning-rate-0.1" if len(rates) == 1 else folder
    shutil.copytree(trained.folder, other)
    before = sorted(folder.rglob("*"))
    options = [*small, "--learning-rate", *rates, "--out", str(folder)]
    for overwrite in ([], ["--overwrite"]):
        assert main(["train", *options, *overwrite]) == 1
        error = " ".join(capsys.readouterr().err.split())
        assert "holds runs of other settings" in error
        assert "name another folder, or delete them" in error
        assert sorted(folder.rglob("*")) == before


def test_an_address_is_no_run_folder(capsys):
    assert main(["train", "--out", "gs://bucket/run"]) == 1
    assert "mount the bucket" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (signal.SIGTERM, r"goes on from step (\d+)\."),
        pytest.param(signal.SIGINT, r"goes on from step (\d+)\.", marks=pytest.mark.slow),
        (None, r"goes on from step (0), since no checkpoint was saved yet\."),
    ],
)
def test_what_is_said_of_resuming_is_true(
    small, tmp_path, monkeypatch, capsys, undrawn, ends, message
):
    """After a signal from the end; after a second one, from the newest checkpoint."""

    def ended(display, part):
        if ends is None:
            raise KeyboardInterrupt
        if part.step[0] == 0:
            signal.raise_signal(ends)

    folder = tmp_path / "a run"
    monkeypatch.setattr(TrainingDisplay, "update", ended)
    assert main(["train", *small, "--steps", "400", "--every", "8", "--out", str(folder)]) == 130
    printed = capsys.readouterr().out
    step = int(re.search(message, printed)[1])
    assert f"jaxalign train --resume '{folder}' goes on" in printed
    assert max(ja.Checkpoints(folder / "checkpoints").steps(), default=0) == step
    rows = len(ja.read_history(folder).step)
    assert step in (0, rows)


def test_a_signal_before_training_ends_the_command(small, tmp_path, monkeypatch, capsys):
    def ended(config):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("jaxalign.cli.train.command.load_task", ended)
    assert main(["train", *small, "--out", str(tmp_path / "run")]) == 130
    assert not (tmp_path / "run").exists()
    assert "--resume" not in "".join(capsys.readouterr())


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


def test_a_run_whose_data_are_elsewhere_says_where_they_are_looked_for(trained, tmp_path, capsys):
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    (folder / "result.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["train"]["data"] = "there/images.npz"
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["train", "--resume", str(folder)]) == 1
    message = capsys.readouterr().err
    assert "there is no data at there/images.npz" in message
    assert message.endswith(f"or write whole paths into {folder / 'config.json'}\n")


def test_a_finished_run_that_is_damaged_is_not_called_finished(trained, tmp_path, capsys):
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    (folder / "curve.npy").unlink()
    assert main(["train", "--resume", str(folder)]) == 1
    assert "curve.npy must hold 31 rows" in capsys.readouterr().err


def test_a_run_that_was_killed_while_it_was_reported_is_reported(trained, tmp_path, undrawn):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    (folder / "result.json").unlink()
    before = (folder / "history.jsonl").read_bytes()
    assert main(["train", "--resume", str(folder)]) == 0
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["steps_done"]) == ("finished", 30)
    assert (folder / "history.jsonl").read_bytes() == before


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
