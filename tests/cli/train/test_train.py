import json
import re

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.cli.main import main
from jaxalign.cli.train.options import Train
from jaxalign.cli.train.runs import place_of

CHEAP = ["--every", "10", "--method", "quadrature", "--steps", "20"]


def test_train_leaves_a_complete_run(trained):
    folder = trained.folder
    assert f"Picture: {folder / 'figures' / 'alignment_by_step.png'}" in trained.printed
    assert f"Page:    {folder / 'index.html'}" in trained.printed
    pictures = {"alignment_by_step.png", "curve_by_layer.png", "threshold_heat_map.png"}
    assert {file.name for file in (folder / "figures").iterdir()} == pictures
    history = ja.read_history(folder)
    assert list(history.layers) == ["input", "hidden_1", "hidden_2"]
    assert len(history.step) == 31

    config = json.loads((folder / "config.json").read_text())
    assert config["title"] == "Pullover against Coat"
    assert config["train"]["seed"] == 3
    packages = {"python", "jaxalign", "jax", "jaxlib", "flax", "optax", "numpy"}
    assert set(config["environment"]["versions"]) >= packages
    assert re.fullmatch("[0-9a-f]{64}", config["data"]["sha256"])
    assert "cpu" in config["environment"]["device"]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert 0.5 < result["test_accuracy"] <= 1


def test_config_says_what_is_monitored_and_how(trained):
    monitor = json.loads((trained.folder / "config.json").read_text())["monitor"]
    assert monitor["size"] == 100
    assert (monitor["method"], monitor["reduce"], monitor["centered"]) == ("auto", "mean", False)
    assert "100 of the 200 training samples" in monitor["notes"][0]


def test_thresholds_scale_with_the_root_of_the_monitored_rows(trained):
    axes = ja.read_history(trained.folder).coordinates["hidden_1"]["alignment"]
    np.testing.assert_allclose(axes["tau"], ja.alignment.usual_thresholds(100))


@pytest.mark.slow
def test_same_seed_same_rows(undrawn, trained, small, tmp_path):
    assert main(["train", *small, "--steps", "30", "--seed", "3", "--out", str(tmp_path)]) == 0
    for file in ("history.jsonl", "curve.npy", "null_curve.npy"):
        assert (tmp_path / file).read_bytes() == (trained.folder / file).read_bytes()


@pytest.mark.slow
def test_all_ten_classes_and_every_choice(small, tmp_path):
    folder = tmp_path / "run"
    choices = [
        *("--classes", "all"),
        *("--activation", "tanh"),
        *("--optimizer", "momentum"),
        *("--learning-rate", "0.01"),
        *("--layers", "hidden_1", "logits"),
        *("--thresholds", "2", "4"),
        *("--steps", "10"),
        "--defer",
    ]
    assert main(["train", *small, *choices, "--out", str(folder)]) == 0
    history = ja.read_history(folder)
    assert list(history.layers) == ["input", "hidden_1", "logits"]
    thresholds = history.coordinates["hidden_1"]["alignment"]["tau"]
    np.testing.assert_array_equal(thresholds, [2, 4])
    assert "64% of ‖y‖² is its mean" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_diverged_run_ends_with_its_page(small, tmp_path):
    folder = tmp_path / "run"
    diverging = ["--optimizer", "sgd", "--learning-rate", "1e30", "--steps", "20"]
    assert main(["train", *small, *diverging, "--out", str(folder)]) == 0
    assert np.isnan(ja.read_history(folder).loss[-1])
    assert "the run diverged" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "3"], "classes must be two or more"),
        (["--classes", "3", "12"], "classes must be two or more"),
        (["--layers", "conv*"], "names there are: hidden_1, hidden_2, logits"),
        (["--batch-size", "500"], "--batch-size must be at most the 200 rows"),
        (["--num-samples", "5000"], "--num-samples: count must be from 1 to 1000"),
        (["--num-samples", "1"], "--num-samples: count must be from 2 (the classes)"),
        (["--monitor-size", "1"], "--monitor-size: count must be from 2 (the classes)"),
        (["--devices", "99"], "--devices must be at most the 4 there are"),
        (["--devices", "3"], "--batch-size must be a multiple of the mesh's 3 devices, found 64"),
        (["--data", "/nonexistent"], "there is no data at /nonexistent"),
        (["resnet9"], "there is no model 'resnet9'; architectures are mlp, cnn"),
        (["--classes", "all", "--outputs", "3"], "--outputs must be at least 10"),
        (["--defer", "--method", "svd"], "defer"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(small, tmp_path, capsys, arguments, message):
    folder = tmp_path / "run"
    assert main(["train", *small, "--steps", "5", "--out", str(folder), *arguments]) == 1
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
        ["--learning-rate", "0.1", "0.1000000001"],
        ["--learning-rate", "1e-50"],
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
        ["--thresholds", "1", "nan"],
        ["--method", "exact"],
        ["--reduce", "samples"],
    ],
)
def test_bad_values_name_their_option(capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["train", *arguments])
    assert exit_.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_step_sizes_that_agree_in_six_digits_have_folders_of_their_own(tmp_path):
    config = Train(learning_rate=(0.1, 0.1000001, 0.01))
    places = [place_of(config, tmp_path, variant).name for variant in config.variants]
    assert places == [f"learning-rate-{rate}" for rate in (0.1, 0.1000001, 0.01)]


@pytest.mark.slow
def test_an_out_folder_with_a_run_needs_overwrite(undrawn, small, tmp_path, capsys):
    folder = tmp_path / "run"
    run = ["train", *small, "--steps", "5", "--out", str(folder)]
    assert main(run) == 0
    before = (folder / "history.jsonl").read_bytes()
    assert main([*run, "--seed", "1"]) == 1
    assert "(--overwrite)" in capsys.readouterr().err
    assert (folder / "history.jsonl").read_bytes() == before
    assert main([*run, "--seed", "1", "--overwrite"]) == 0
    assert (folder / "history.jsonl").read_bytes() != before


@pytest.mark.slow
def test_without_out_every_run_gets_a_folder_of_its_own(undrawn, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", *small, "--steps", "2"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["train-1", "train-2"]


@pytest.mark.slow
def test_seeds_and_step_sizes_are_one_program_and_a_folder_a_step_size(small, tmp_path, capsys):
    many = ["--seeds", "2", "--learning-rate", "1e-2", "1e-3"]
    assert main(["train", *small, *CHEAP, *many, "--out", str(tmp_path)]) == 0
    assert f"Picture: {tmp_path / 'sweep.png'}" in capsys.readouterr().out
    for rate in ("0.01", "0.001"):
        folder = tmp_path / f"learning-rate-{rate}"
        history = ja.read_history(folder)
        assert history.models == 2
        assert len(json.loads((folder / "result.json").read_text())["test_accuracy"]) == 2
        page = (folder / "index.html").read_text(encoding="utf-8")
        assert f"step size {rate}, batch 64, seeds 0 to 1" in page
    assert main(["show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "step size 0.01" in shown
    assert "step size 0.001" in shown
    assert main(["train", "--resume", str(tmp_path)]) == 0
    assert "is finished" in " ".join(capsys.readouterr().out.split())
    alone = tmp_path / "alone"
    assert main(["train", *small, *CHEAP, "--seed", "1", "--out", str(alone)]) == 0
    np.testing.assert_allclose(ja.read_history(alone).loss, history.loss[:, 1], rtol=1e-3)


@pytest.mark.slow
def test_optimizers_are_one_program_and_each_trains_as_alone(undrawn, small, tmp_path, capsys):
    many = ["--optimizer", "sgd", "lion", "--learning-rate", "1e-2", "1e-3"]
    assert main(["train", *small, *CHEAP, *many, "--out", str(tmp_path)]) == 0
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
        one = ["--optimizer", optimizer, "--learning-rate", "1e-2", "--out", str(alone)]
        assert main(["train", *small, *CHEAP, *one]) == 0
        together = ja.read_history(tmp_path / f"{optimizer}-learning-rate-0.01")
        np.testing.assert_allclose(ja.read_history(alone).loss, together.loss, rtol=1e-3)


@pytest.fixture
def table():
    """90 rows of four numbers."""
    return np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32)


@pytest.mark.slow
def test_regression_on_a_table_is_centred_and_says_so(undrawn, small, table, tmp_path):
    np.savez(tmp_path / "data.npz", x=table, y=(table.sum(axis=1) + 3).astype(np.float32))
    run = ["train", "--data", str(tmp_path / "data.npz"), "--width", "16", "--depth", "1"]
    settings = ["--steps", "50", "--learning-rate", "0.03", "--batch-size", "30"]
    folder = tmp_path / "run"
    assert main([*run, *settings, "--out", str(folder)]) == 0
    history = ja.read_history(folder)
    assert history.loss[-1] < 0.3 * history.loss[0]
    assert history.metrics == {}
    config = json.loads((folder / "config.json").read_text())
    assert config["monitor"]["centered"] is True
    assert any("about their means" in note for note in config["monitor"]["notes"])
    assert config["title"] == "Regression on data.npz"
    assert "test_accuracy" not in json.loads((folder / "result.json").read_text())
    targets = table.sum(axis=1)
    spread = ((targets - targets.mean()) ** 2).sum()
    assert history.totals["hidden_1"] == pytest.approx(spread, rel=1e-4)


MODULE = """
from flax import nnx
import flax.linen, jax

class Maps(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(1, 4, (3, 3), strides=4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(self.drop(nnx.relu(self.norm(self.conv(x)))).mean(axis=(1, 2)))

def linen():
    module = flax.linen.Dense(3)
    return module, module.init(jax.random.key(0), jax.numpy.ones((1, 784)))
"""


@pytest.mark.slow
def test_a_network_of_ones_own_is_trained_on_classes_by_name(undrawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 12, 12), dtype=np.uint8)
    np.savez("data.npz", x=pixels, y=np.array(["ash", "beech", "cedar"])[np.arange(60) % 3])
    run = ["train", "mine.py:Maps", "--data", "data.npz", "--seeds", "2", "--steps", "8"]
    layers = ["--layers", "conv", "norm", "--batch-size", "20", "--out", "run"]
    assert main([*run, *layers]) == 0
    history = ja.read_history("run")
    assert list(history.layers) == ["input", "conv", "norm"]
    assert history.models == 2
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["title"] == "3 classes of data.npz"
    notes = " ".join(config["monitor"]["notes"])
    assert "--reduce mean" in notes
    assert "All seeds begin with the same weights" in notes
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert len(result["train_accuracy"]) == 2
    assert "test_accuracy" not in result


FEW_ROWS = """
import jax.numpy as jnp
from flax import nnx

class FewRows(nnx.Module):
    def __init__(self):
        self.head = nnx.Linear(4, 1, rngs=nnx.Rngs(0))
        self.head.kernel[...] = jnp.eye(4)[:, :1]

    def __call__(self, x):
        assert len(x) <= 30, "too many rows at once"
        return self.head(x)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_network_never_gets_more_rows_than_a_step_or_the_monitor_has(
    undrawn, tmp_path, monkeypatch, rng, seeds
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FEW_ROWS)
    rows = rng.standard_normal((70, 4)).astype(np.float32)
    labels = rows[:, 0] > 0
    labels[:10] ^= True
    np.savez("data.npz", x=rows, y=labels.astype(int))
    run = ["train", "mine.py:FewRows", "--data", "data.npz", "--seeds", str(seeds), "--out", "run"]
    few = ["--steps", "2", "--batch-size", "20", "--monitor-size", "30"]
    assert main([*run, *few, "--learning-rate", "1e-6", "--method", "svd"]) == 0
    accuracy = json.loads((tmp_path / "run" / "result.json").read_text())["train_accuracy"]
    assert accuracy == pytest.approx([60 / 70] * 2 if seeds > 1 else 60 / 70, abs=1e-4)


def test_a_linen_model_is_not_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    np.savez("data.npz", x=np.ones((6, 784), np.float32), y=np.arange(6) % 2)
    assert main(["train", "mine.py:linen", "--data", "data.npz", "--out", "run"]) == 1
    assert "train takes flax.nnx models" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_shipped_convolutional_network_is_trained(undrawn, tmp_path):
    rows = ["--num-samples", "200", "--monitor-size", "100"]
    assert main(["train", "cnn", *rows, "--steps", "5", "--out", str(tmp_path / "run")]) == 0
    assert list(ja.read_history(tmp_path / "run").layers) == ["input", "conv_1", "conv_2", "hidden"]
