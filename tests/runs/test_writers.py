"""Writers take what fit hands on, row by row; dashboards are read back by their own readers where
they are installed.
"""

import optax
import pytest

import jaxalign as ja
from jaxalign.runs._writers import scalars


def train(task, writer, **settings):
    model = task.model()
    settings = {"steps": 10, "batch_size": 16, "chunk": 4, "every": 5} | settings
    _, history = ja.fit(
        model, optax.adam(1e-2), task.inputs, task.labels, monitor=task.monitor(model), callback=writer.write, **settings
    )
    writer.finish({"status": "finished"})
    return history


class Recorder:
    """Two methods make a writer; these stand in for a Weights & Biases run, too."""

    def __init__(self):
        self.rows, self.summary = [], {}

    def log(self, values, step):
        self.rows.append((step, values))


def test_rows_reach_a_run_in_order_and_complete(task):
    run = Recorder()
    history = train(task, ja.WandbWriter(run))
    assert run.rows == list(scalars(history))
    assert [step for step, _ in run.rows] == list(range(11))
    assert [step for step, values in run.rows if "area/hidden_2" in values] == [0, 5, 10]
    assert run.rows[5][1]["alignment_3/hidden_1"] == pytest.approx(history.layers["hidden_1"].alignment[1, 1] / history.total)
    assert run.summary == {"status": "finished"}


def test_each_of_several_models_has_its_own_scalars(task):
    models = [task.model(seed) for seed in (1, 2)]
    _, history = ja.fit(
        models, optax.adam(1e-2), task.inputs, task.labels, steps=6, batch_size=16, every=3, monitor=task.monitor(models[0])
    )
    for i in range(2):
        alone = list(scalars(history.of(i)))
        for (step, values), (step_alone, values_alone) in zip(scalars(history), alone, strict=True):
            assert step == step_alone
            assert {name: values[f"{name}/model_{i}"] for name in values_alone} == values_alone
            assert len(values) == 2 * len(values_alone)


def test_tensorboard_reads_what_was_written(task, tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from tensorboardX.proto import event_pb2

    history = train(task, ja.TensorBoardWriter(tmp_path))
    (file,) = tmp_path.glob("events.out.*")
    content, found = file.read_bytes(), {}
    while content:  # length (8), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        found |= {(event.step, value.tag): value.simple_value for value in event.summary.value}
    for step, values in scalars(history):
        for name, value in values.items():
            assert found[step, name] == pytest.approx(value)


def test_wandb_offline(task, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with wandb.init(project="jaxalign", dir=tmp_path) as run:
        history = train(task, ja.WandbWriter(run))
        assert run.step == len(history.step)
        assert run.summary["status"] == "finished"


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("jaxalign.training.writers.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorboardX"):
        ja.TensorBoardWriter(tmp_path)
