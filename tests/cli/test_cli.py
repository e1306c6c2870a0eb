import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.cli.main import main
from jaxalign.cli.train.progress import TrainingDisplay
from jaxalign.cli.train.recipe import Train, as_settings, from_settings

SMALL = ["--samples", "200", "--width", "16", "--depth", "2", "--monitor-size", "100"]


def test_train_leaves_a_complete_run(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", *SMALL, "--steps", "30", "--seed", "3", "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"Picture: {folder / 'figures' / 'alignment_by_step.png'}" in printed
    assert f"Page:    {folder / 'index.html'}" in printed
    pictures = {"alignment_by_step.png", "curve_by_layer.png", "threshold_heat_map.png"}
    assert {file.name for file in (folder / "figures").iterdir()} == pictures
    history = ja.read_history(folder)
    assert list(history.layers) == ["input", "hidden_1", "hidden_2"]
    assert len(history.step) == 31

    config = json.loads((folder / "config.json").read_text())
    assert config["train"]["seed"] == 3
    assert set(config["environment"]["versions"]) >= {
        "python",
        "jaxalign",
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "numpy",
    }
    assert re.fullmatch("[0-9a-f]{64}", config["data"]["sha256"])
    assert "cpu" in config["environment"]["device"]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert 0.5 < result["test_accuracy"] <= 1

    assert main(["show", str(folder)]) == 0
    assert "step 30 of 30 (finished)" in capsys.readouterr().out


@pytest.mark.slow
def test_same_seed_same_rows(tmp_path):
    for name in ("a", "b"):
        assert main(["train", *SMALL, "--steps", "20", "--out", str(tmp_path / name)]) == 0
    for file in ("history.jsonl", "curves.npy", "null.npy"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_all_ten_classes_and_every_choice(tmp_path):
    folder = tmp_path / "run"
    choices = "--classes all --activation tanh --optimizer momentum --learning-rate 0.01 --layers hidden_1 logits --thresholds 2 4"
    assert main(["train", *SMALL, *choices.split(), "--steps", "10", "--out", str(folder)]) == 0
    history = ja.read_history(folder)
    assert list(history.layers) == ["input", "hidden_1", "logits"]
    np.testing.assert_array_equal(history.thresholds, [2, 4])
    assert "64% of ‖y‖² is its mean" in (folder / "index.html").read_text(encoding="utf-8")


def test_a_diverged_run_ends_with_its_page(tmp_path):
    folder = tmp_path / "run"
    diverging = ["--optimizer", "sgd", "--learning-rate", "1e30", "--steps", "20"]
    assert main(["train", *SMALL, *diverging, "--out", str(folder)]) == 0
    assert np.isnan(ja.read_history(folder).loss[-1])
    assert "the run diverged" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "3"], "classes must be two or more"),
        (["--classes", "3", "12"], "classes must be two or more"),
        (["--layers", "conv*"], "names there are: hidden_1, hidden_2, logits"),
        (["--thresholds", "1", "nan"], "thresholds must be finite"),
        (["--batch-size", "500"], "batch_size must be at most the 200 rows"),
        (["--samples", "5000"], "--samples: count must be from 2 (the classes) to 1000"),
        (["--monitor-size", "1"], "--monitor-size: count must be from 2"),
        (["--devices", "99"], "--devices must be at most the 4 there are"),
        (["--devices", "3"], "batch_size must be a multiple of the mesh's 3 devices, found 64"),
        (["--data", "/nonexistent"], "/nonexistent has no train-images-idx3-ubyte"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, arguments, message):
    folder = tmp_path / "run"
    assert main(["train", *SMALL, "--steps", "5", "--out", str(folder), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("jaxalign: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not folder.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seeds", "0"],
        ["--learning-rate", "0.1", "0.1"],
        ["--optimizer", "adam", "adam"],
        ["--coordinator", "host:1"],
        ["--distributed"],
        ["--steps", "0"],
        ["--depth", "0"],
        ["--learning-rate", "nan"],
        ["--seed", "-1"],
        ["--overwrite"],
        ["--optimizer", "sdg"],
        ["--optimizer", "--steps", "3"],
    ],
)
def test_bad_values_name_their_option(capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["train", *arguments])
    assert exit_.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.slow
def test_an_out_folder_with_a_run_needs_overwrite(tmp_path, capsys):
    folder = tmp_path / "run"
    run = ["train", *SMALL, "--steps", "5", "--out", str(folder)]
    assert main(run) == 0
    before = (folder / "history.jsonl").read_bytes()
    assert main([*run, "--seed", "1"]) == 1
    assert "(--overwrite)" in capsys.readouterr().err
    assert (folder / "history.jsonl").read_bytes() == before
    assert main([*run, "--seed", "1", "--overwrite"]) == 0
    assert (folder / "history.jsonl").read_bytes() != before


@pytest.mark.slow
def test_without_out_every_run_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", *SMALL, "--steps", "2"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["train-1", "train-2"]


def test_seeds_and_step_sizes_are_one_program_and_a_folder_a_step_size(tmp_path, capsys):
    many = [
        "--seeds",
        "2",
        "--learning-rate",
        "1e-2",
        "1e-3",
        "--every",
        "5",
        "--measure",
        "quadrature",
    ]
    assert main(["train", *SMALL, *many, "--steps", "20", "--out", str(tmp_path)]) == 0
    assert f"Picture: {tmp_path / 'sweep.png'}" in capsys.readouterr().out
    for rate in ("0.01", "0.001"):
        folder = tmp_path / f"learning-rate-{rate}"
        history = ja.read_history(folder)
        assert history.models == 2
        assert len(json.loads((folder / "result.json").read_text())["test_accuracy"]) == 2
        assert f"step size {rate}, batch 64, seeds 0 to 1" in (folder / "index.html").read_text(
            encoding="utf-8"
        )
    assert main(["show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "step size 0.01" in shown
    assert "step size 0.001" in shown
    assert main(["train", "--resume", str(tmp_path)]) == 0
    assert "is finished" in " ".join(capsys.readouterr().out.split())
    alone = tmp_path / "alone"
    one = [*SMALL, "--seed", "1", "--every", "5", "--measure", "quadrature", "--steps", "20"]
    assert main(["train", *one, "--out", str(alone)]) == 0
    np.testing.assert_allclose(ja.read_history(alone).loss, history.loss[:, 1], rtol=1e-3)


@pytest.mark.parametrize("change", [{"optimizer": "adam"}, {"rate": 1e-3}])
def test_settings_of_another_version_are_refused_by_name(tmp_path, change):
    settings = json.loads(json.dumps(as_settings(Train())))
    assert from_settings(settings, tmp_path) == Train(out=tmp_path)
    with pytest.raises(
        ValueError,
        match=f"made by another version of jaxalign, with other settings: {next(iter(change))}",
    ):
        from_settings({**settings, **change}, tmp_path)


def test_optimizers_are_one_program_and_each_trains_as_alone(tmp_path, capsys):
    shared = [*SMALL, "--every", "10", "--measure", "quadrature", "--steps", "20"]
    many = ["--optimizer", "sgd", "lion", "--learning-rate", "1e-2", "1e-3"]
    assert main(["train", *shared, *many, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "sweep.png").exists()
    runs = sorted(path.name for path in tmp_path.glob("*-learning-rate-*"))
    assert runs == [
        f"{optimizer}-learning-rate-{rate}"
        for optimizer in ("lion", "sgd")
        for rate in ("0.001", "0.01")
    ]
    assert main(["show", str(tmp_path)]) == 0
    assert "lion, step size 0.001" in capsys.readouterr().out
    assert main(["train", "--resume", str(tmp_path)]) == 0
    assert "is finished" in " ".join(capsys.readouterr().out.split())
    for optimizer in ("sgd", "lion"):
        alone = tmp_path / optimizer
        assert (
            main(
                [
                    "train",
                    *shared,
                    "--optimizer",
                    optimizer,
                    "--learning-rate",
                    "1e-2",
                    "--out",
                    str(alone),
                ]
            )
            == 0
        )
        together = ja.read_history(tmp_path / f"{optimizer}-learning-rate-0.01")
        np.testing.assert_allclose(ja.read_history(alone).loss, together.loss, rtol=1e-3)


@pytest.mark.slow
def test_a_sweep_goes_on(tmp_path, monkeypatch):
    """Both folders, from one checkpoint."""
    settings = [
        *SMALL,
        "--learning-rate",
        "1e-2",
        "1e-3",
        "--every",
        "5",
        "--steps",
        "150",
        "--checkpoint-every",
        "64",
    ]
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
        for file in ("history.jsonl", "curves.npy"):
            whole, cut = (
                tmp_path / name / f"learning-rate-{rate}" / file for name in ("whole", "cut")
            )
            assert whole.read_bytes() == cut.read_bytes()


def test_show_explains_what_is_no_run(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_leaves_a_readable_run_and_says_how_far_it_came(tmp_path):
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "jaxalign",
        "train",
        *SMALL,
        "--steps",
        "1000000",
        "--out",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        deadline = time.monotonic() + 120
        while (
            not (folder / "history.jsonl").exists()
            or (folder / "history.jsonl").stat().st_size == 0
        ):
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
    assert np.isfinite(history.layers["hidden_2"].curve).all()
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    assert "did not finish" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_benchmark_prints_a_table_and_keeps_numbers_and_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jaxalign.benchmark.race.ROUNDS", (3, 3))
    monkeypatch.setenv("COLUMNS", "80")
    command = [
        "benchmark",
        "--shapes",
        "40x5",
        "2x40x5",
        "--seconds",
        "0",
        "--cores",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "2×40×5" in printed
    assert "…" not in printed  # nothing cut off
    content = json.loads((tmp_path / "cpu-throughput.json").read_text())
    assert [r["shape"] for r in content["results"]] == ["40×5", "2×40×5"]
    for result in content["results"]:
        assert result["solvers"]["jaxalign"]["errors"]["curve"] < 1e-6
        assert result["solvers"]["numpy svd"]["speedup"] == 1
    assert (tmp_path / "cpu-throughput.png").stat().st_size > 10_000


def test_an_interrupted_benchmark_says_so(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxalign.cli.benchmark.race", interrupt)
    assert main(["benchmark", "--out", str(tmp_path)]) == 130
    assert "Interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (["--shapes", "12"], "a shape is written as 1000x129"),
        (["--shapes", "3x12"], "exchange the two"),
        (["--shapes"], "at least one shape"),
        (["--cores", "999"], "--cores must be from 1 to"),
    ],
)
def test_a_bad_benchmark_is_refused_before_it_starts(choice, told, tmp_path, capsys):
    assert main(["benchmark", *choice, "--out", str(tmp_path / "new")]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(tmp_path):
    """SIGKILL at random moments, also within writes, until the run ends by itself."""
    settings = [*SMALL, "--steps", "300", "--checkpoint-every", "30", "--every", "3"]
    assert main(["train", *settings, "--out", str(tmp_path / "whole")]) == 0
    folder, rng = tmp_path / "killed", np.random.default_rng(0)

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "jaxalign", "train", *arguments], stdout=subprocess.DEVNULL
        )

    running, kills = start(*settings, "--out", str(folder)), 0
    rows = folder / "history.jsonl"
    while kills < 3:
        size = rows.stat().st_size if rows.exists() else 0
        while running.poll() is None and (rows.stat().st_size if rows.exists() else 0) <= size:
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
    for file in ("history.jsonl", "curves.npy", "null.npy"):
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_resume_takes_no_other_option_and_leaves_a_finished_run_alone(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", *SMALL, "--steps", "10", "--out", str(folder)]) == 0
    before = (folder / "history.jsonl").read_bytes()
    assert main(["train", "--resume", str(folder)]) == 0
    assert "is finished: there is nothing to go on with" in " ".join(
        capsys.readouterr().out.split()
    )
    assert (folder / "history.jsonl").read_bytes() == before
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(folder), "--steps", "20"])
    printed = capsys.readouterr()
    assert "leave out --steps" in " ".join((printed.out + printed.err).replace("│", " ").split())
    assert main(["train", "--resume", str(tmp_path / "none")]) == 1
    assert "holds no run" in capsys.readouterr().err
