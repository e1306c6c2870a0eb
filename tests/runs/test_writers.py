"""Writers take what fit hands on, row by row; dashboards are read back by their own readers where
they are installed.
"""

import posixpath
import re

import pytest

import jaxalign as ja
from jaxalign.runs import MetricWriter, MLflowWriter, TrackioWriter
from jaxalign.runs._writers import _mlflow_name, scalars


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


class CluWriter:
    """The methods of clu.metric_writers.MetricWriter that are used, with its signatures."""

    def __init__(self):
        self.rows, self.texts, self.flushes = [], [], 0

    def write_scalars(self, step, scalars):
        self.rows.append((step, scalars))

    def write_texts(self, step, texts):
        self.texts.append((step, texts))

    def flush(self):
        self.flushes += 1


class TrackioRun:
    """trackio.Run.log with its signature."""

    def __init__(self):
        self.rows = []

    def log(self, metrics, step=None):
        self.rows.append((step, metrics))


class Mlflow:
    """The functions of the module mlflow that are used, with their signatures and its check of
    names.
    """

    def __init__(self):
        self.rows, self.tags = [], {}

    def log_metrics(self, metrics, step=None, synchronous=None, run_id=None, timestamp=None):
        for name in metrics:
            require_mlflow_name(name)
        self.rows.append((step, metrics))

    def set_tags(self, tags, synchronous=None):
        self.tags |= tags


def require_mlflow_name(name):
    path = posixpath.normpath(name)
    assert re.fullmatch(r"[/\w.\- :]*", name)
    assert path == name
    assert path != "."
    assert not path.startswith(("..", "/"))


def test_writers_of_other_dashboards_take_the_same_rows(run):
    history, parts = run
    clu, trackio, mlflow = CluWriter(), TrackioRun(), Mlflow()
    replay(parts, MetricWriter(clu))
    replay(parts, TrackioWriter(trackio))
    replay(parts, MLflowWriter(mlflow))
    assert clu.rows == list(scalars(history))
    assert clu.texts == [(20, {"result/status": "finished"})]
    assert clu.flushes == len(parts) + 1
    assert mlflow.rows == list(scalars(history))
    assert mlflow.tags == {"result/status": "finished"}
    assert trackio.rows == [*scalars(history), (None, {"result/status": "finished"})]


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
    written = [_mlflow_name(name) for name in names]
    assert written[0] == names[0]
    assert len(set(written)) == len(names)
    for name in written:
        require_mlflow_name(name)


def test_each_of_several_models_has_its_own_scalars(task):
    models = [task.model(seed) for seed in (3, 5, 8)]
    _, history = task.fit(models, seed=(3, 5, 8), every=4)
    for i in range(3):
        alone = list(scalars(history.of(i)))
        for (step, values), (step_alone, values_alone) in zip(scalars(history), alone, strict=True):
            assert step == step_alone
            assert {name: values[f"{name}/model_{i}"] for name in values_alone} == values_alone
            assert len(values) == 3 * len(values_alone)


def test_tensorboard_reads_what_was_written(run, tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from tensorboardX.proto import event_pb2

    history, parts = run
    replay(parts, ja.TensorBoardWriter(tmp_path))
    (file,) = tmp_path.glob("events.out.*")
    content = file.read_bytes()
    written = {}
    while content:  # length (8), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        written |= {(event.step, value.tag): value.simple_value for value in event.summary.value}
    for step, values in scalars(history):
        for name, value in values.items():
            assert written[step, name] == pytest.approx(value)


def test_wandb_offline(run, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    history, parts = run
    with wandb.init(project="jaxalign", dir=tmp_path) as service:
        replay(parts, ja.WandbWriter(service))
        assert service.step == len(history.step)
        assert service.summary["status"] == "finished"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what mlflow itself calls
def test_mlflow_reads_what_was_written(run, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    history, parts = run
    with mlflow.start_run() as active:
        replay(parts, MLflowWriter(mlflow))
    client = mlflow.MlflowClient()
    logged = client.get_metric_history(active.info.run_id, "loss")
    assert [(entry.step, entry.value) for entry in logged] == [
        (step, values["loss"]) for step, values in scalars(history)
    ]
    stored = client.get_run(active.info.run_id).data
    assert set(stored.metrics) == set().union(*(values for _, values in scalars(history)))
    assert stored.tags["result/status"] == "finished"


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("jaxalign.runs._writers.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorboardX"):
        ja.TensorBoardWriter(tmp_path)
