from pathlib import Path

import numpy as np
import pytest

from jaxalign.cli.main import main
from jaxalign.comparison import read_comparison

SOURCE = """
from flax import nnx

class Net(nnx.Module):
    def __init__(self, seed=0, width=3):
        self.first = nnx.Linear(4, width, rngs=nnx.Rngs(seed))
        self.second = nnx.Linear(width, 3, rngs=nnx.Rngs(seed))

    def __call__(self, x):
        return self.second(nnx.tanh(self.first(x)))

def other():
    return Net(1)

class Broken(Net):
    def __call__(self, x):
        return super().__call__(x / 0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with models, data of 30 rows, and files of activations."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 30)
    known = (rng.standard_normal((30, 3)) + 3 * labels[:, None]).astype(np.float32)
    noise = rng.standard_normal((30, 3)).astype(np.float32)
    (folder / "mine.py").write_text(SOURCE)
    np.savez(folder / "data.npz", x=rng.standard_normal((30, 4)).astype(np.float32), y=labels)
    names = np.array(["cat", "dog"])[labels]
    np.savez(folder / "a.npz", known=known, noise=noise, labels=names)
    np.savez(folder / "b.npz", known=known @ np.diag([1, 2, 3]).astype(np.float32))
    np.savez(folder / "few.npz", known=known[:3])
    np.savez(folder / "short.npz", known=known[:29])
    np.savez(folder / "one_class.npz", known=known, labels=np.zeros(30, int))
    np.savez(folder / "nan.npz", known=np.where(known == known[4, 1], np.nan, known))
    np.savez(folder / "wide.npz", maps=np.zeros((30, 2, 2, 5000), np.float32))
    (folder / "damaged.npz").write_bytes((folder / "a.npz").read_bytes()[:300])
    (folder / "empty").mkdir()
    (folder / "foreign").mkdir()
    (folder / "foreign" / "config.json").write_text('{"measured": {"arrays": {}}}')
    return folder


@pytest.fixture
def undrawn(monkeypatch):
    """No picture and no page."""
    monkeypatch.setattr("jaxalign.cli.compare.command._write_report", lambda folder, _: folder)


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.slow
def test_files_leave_a_complete_folder_that_can_be_shown(capsys, tmp_path):
    out = tmp_path / "out"
    assert main(["compare", "a.npz", "b.npz", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"Page:    {out / 'index.html'}" in printed
    assert "1 of 2 pairs are more alike than chance." in printed
    names = {"config.json", "comparison.json", "similarity.csv", "figures", "index.html"}
    assert {file.name for file in out.iterdir()} == names
    compared = read_comparison(out)
    assert compared.comparison.alignments is not None
    assert compared.comparison.measure == "linear CKA, debiased"
    assert "is taken on trust" in " ".join(compared.config["notes"])
    assert main(["compare", "a.npz", "b.npz", "--out", str(out)]) == 1
    assert "replace it with overwrite (--overwrite)" in capsys.readouterr().err
    assert compared.config["subtitle"].endswith("30 rows, 2 classes")
    assert main(["show", str(out)]) == 0
    assert "1 of 2 pairs are more alike than chance." in capsys.readouterr().out


@pytest.mark.slow
def test_two_models_on_a_data_set(undrawn, tmp_path):
    out = str(tmp_path)
    assert (
        main(["compare", "mine.py:Net", "mine.py:other", "--data", "data.npz", "--out", out]) == 0
    )
    comparison = read_comparison(tmp_path).comparison
    assert list(comparison.first) == list(comparison.second) == ["first", "second"]
    assert comparison.pairs.values[0, 0] < 0.999
    assert list(comparison.alignments[1]) == ["first", "second"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--measure", "mutual-knn", "--k", "5"], "mutual 5 nearest neighbours"),
        *(
            pytest.param(["--measure", *choice.split()], title, marks=pytest.mark.slow)
            for choice, title in (
                ("bures --permutations 3", "Bures similarity"),
                ("linear-cka --unit-rows --estimator biased", "linear CKA, biased, of unit rows"),
                ("rbf-cka", "CKA of Gaussian kernels, 1 × median distance, debiased"),
                ("cknna", "CKNNA of 10"),
                ("cca", "mean CCA"),
                ("mean-squared-cca", "mean squared CCA"),
                ("svcca", "SVCCA at 99% of the variance"),
                ("pwcca", "PWCCA"),
                ("procrustes", "Procrustes distance, squared"),
                ("angular-procrustes", "angular Procrustes distance"),
                ("rsa", "RSA of sqeuclidean distances, pearson"),
            )
        ),
    ],
)
def test_every_measure_can_be_chosen(undrawn, tmp_path, options, name):
    run = ["compare", "a.npz", "a.npz", "--intervals", "none", "--out", str(tmp_path)]
    assert main([*run, *options]) == 0
    comparison = read_comparison(tmp_path).comparison
    assert comparison.measure == name
    best = comparison.pairs.values.diagonal()
    np.testing.assert_allclose(best, 0 if comparison.is_distance else 1, atol=1e-4)


@pytest.mark.slow
def test_a_run_is_its_checkpoint_and_its_start(undrawn, trained, tmp_path, capsys):
    run = str(trained.folder)
    command = ["compare", f"{run}@0", run, "--a.seed", "3", "--b.seed", "3", "--num-samples", "30"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    compared = read_comparison(tmp_path / "out")
    assert compared.config["names"] == [f"{run}, untrained", f"{run}, step 30"]
    assert list(compared.comparison.first) == ["hidden_1", "hidden_2"]
    assert compared.comparison.differences[0].value > 0
    for wrong, message in (
        ([f"{run}@7", run], "has no checkpoint of step 7; those kept are 30, and 0"),
        ([run, run, "--a.seed", "9"], "was trained with seeds 3 to 3, found seed 9"),
        ([run, run, "--a.width", "9"], "--width would change nothing of the run"),
    ):
        assert main(["compare", *wrong, "--out", str(tmp_path / "other")]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.npz", "none.npz"], "there is no run and no file of activations at none.npz"),
        (["runs/none", "runs/none"], "there is no run and no file of activations at runs/none"),
        (["a.npz", "mine.py:Net"], "a.npz is a file, and mine.py:Net none"),
        (["a.npz", "short.npz"], "found 30 rows in the first and 29 in the second"),
        (["few.npz", "few.npz"], "linear CKA, debiased needs at least 4 rows, found 3"),
        (["a.npz", "b.npz", "--measure", "mutual-knn", "--k", "30"], "needs at least 31 rows"),
        (["a.npz", "b.npz", "--num-samples", "9"], "--num-samples would change nothing of files"),
        (["a.npz", "b.npz", "--a.width", "9"], "--width would change nothing of the file a.npz"),
        (
            ["a.npz", "b.npz", "--a.layers", "known", "conv*"],
            "layers conv* fit none of known, noise",
        ),
        (["a.npz", "b.npz", "--label", "noise"], "there is no array 'noise' for labels; it has k"),
        (["a.npz", "one_class.npz"], "found other labels from row"),
        (["one_class.npz", "one_class.npz"], "must hold at least two classes"),
        (["nan.npz", "b.npz"], "layer known holds NaN or Inf in 1 of 30 rows"),
        (["damaged.npz", "b.npz"], "damaged.npz cannot be read as activations"),
        (["wide.npz", "b.npz", "--reduce", "flatten", "--memory", "0.001"], "its rows alone are"),
        (["empty", "empty"], "empty holds no run: there is no config.json in it"),
        (
            ["foreign", "foreign"],
            "is of a run that `jaxalign train` did not make; compare files of",
        ),
        (["mlp9", "mlp"], "there is no model 'mlp9'; architectures are mlp, cnn"),
        (["mine.py:Broken", "mine.py:Net", "--data", "data.npz"], "holds NaN or Inf in 30 of 30"),
        (["mine.py:Net", "mine.py:Net", "--channels", "first"], "--channels is for files"),
    ],
)
def test_bad_input_is_told_in_a_line_and_nothing_is_written(arguments, message, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(["compare", *arguments, "--out", str(out)])
    assert status == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--overwrite"], "pass --out"),
        (["--k", "3"], "--k would change nothing of linear-cka"),
        (["--permutations", "-1"], "permutations must not be negative"),
        (["--memory", "0"], "memory must be positive and finite"),
        (["--measure", "svcca", "--variance", "2"], "variance must be above 0"),
        (["--a.depth", "0"], "depth must be at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused_as_usage(options, message, capsys):
    with pytest.raises(SystemExit):
        main(["compare", "a.npz", "b.npz", *options])
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in error
    assert not Path("runs").exists()
