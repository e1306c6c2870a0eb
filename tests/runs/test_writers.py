"""Writers take what fit hands on, row by row, under names that stay different."""

import posixpath
import re

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.runs._writers import LONGEST, _mlflow_name, scalars


class Recorder:
    """Two methods make a writer; these stand in for a Weights & Biases run, too."""

    def __init__(self):
        self.rows = []
        self.summary = {}

    def log(self, values, step):
        self.rows.append((step, values))


@pytest.fixture(scope="module")
def run(task):
    """(history, parts) of a small run that is measured at every fourth step."""
    parts = []
    _, history = task.fit(task.model(), every=4, callback=parts.append)
    return history, parts


def replay(parts, writer):
    """What ``fit`` calls, without training again."""
    for part in parts:
        writer.write(part)
    writer.finish({"status": "finished"})


def test_rows_reach_a_run_in_order_and_complete(run):
    history, parts = run
    recorder = Recorder()
    replay(parts, ja.WandbWriter(recorder))
    assert recorder.rows == list(scalars(history))
    assert [step for step, _ in recorder.rows] == list(range(21))
    measured = [step for step, values in recorder.rows if "area/hidden_2" in values]
    assert measured == list(range(0, 21, 4))
    tau = history.coordinates["hidden_1"]["alignment"]["tau"]
    values = recorder.rows[4][1]
    alignment = history.layers["hidden_1"]["alignment"]
    for i, threshold in enumerate(tau):
        expected = alignment[1, i] / history.totals["hidden_1"]
        assert values[f"alignment_{threshold:g}/hidden_1"] == pytest.approx(expected)
    assert recorder.summary == {"status": "finished"}


def require_mlflow_name(name):
    path = posixpath.normpath(name)
    assert len(name) <= LONGEST
    assert re.fullmatch(r"[/\w.\- :]*", name)
    assert path == name
    assert path != "."
    assert not path.startswith(("..", "/"))


def test_names_that_mlflow_does_not_allow_are_escaped_and_stay_different():
    names = [
        "area/layers.0",
        "block[0]",
        "block#0",
        "a:23:0",
        "a#0",
        "τ/λ é",
        "..",
        ".",
        "/a",
        "a//b",
    ]
    names += ["a/../b", "a/./b", "a/", "50%", 'quo"te', "tab\t", "\n"]
    names += ["a" * LONGEST, "a" * LONGEST + "a", "a" * LONGEST + "b", "#" * LONGEST]
    written = [_mlflow_name(name) for name in names]
    assert written[0] == names[0]
    assert len(set(written)) == len(names)
    for name in written:
        require_mlflow_name(name)


def test_no_two_scalars_have_one_name():
    """Thresholds that agree in six digits, equal ones, and names that are put together alike."""
    steps = np.arange(2)
    numbers = np.arange(8.0).reshape(2, 4)
    near = {"tau": np.array([1000.001, 1000.002, 2.0, 2.0])}
    layers = {
        "c": {"a/b": numbers[:, 0], "a_2": numbers[:, 2], "a": numbers},
        "b/c": {"a": numbers[:, 1]},
    }
    coordinates = {"c": {"a": near}}
    loss = {"a/b/c": numbers[:, 3]}
    history = ja.History(steps, steps, numbers[:, 0], loss, layers, coordinates, {})
    for row, (_, values) in zip(numbers, scalars(history), strict=True):
        assert len(values) == 9
        assert values["a/b/c"] == row[3]
        assert [values["a/b/c~2"], values["a/b/c~3"]] == [row[0], row[1]]
        of_tau = [f"a_{label}/c" for label in ("1000.001", "1000.002", "2.0", "2.0~2")]
        assert [values[name] for name in of_tau] == row.tolist()


@pytest.mark.slow
def test_each_of_several_models_has_its_own_scalars(task):
    models = [task.model(seed) for seed in (3, 5, 8)]
    _, history = task.fit(models, seed=(3, 5, 8), every=4)
    for i in range(3):
        alone = list(scalars(history.of(i)))
        for (step, values), (step_alone, values_alone) in zip(scalars(history), alone, strict=True):
            assert step == step_alone
            assert {name: values[f"{name}/model_{i}"] for name in values_alone} == values_alone
            assert len(values) == 3 * len(values_alone)


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("jaxalign.runs._writers.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorboardX"):
        ja.TensorBoardWriter(tmp_path)
