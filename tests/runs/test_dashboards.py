"""Each dashboard's own package takes a run without a network and reads back what was written."""

import ast
import json
import re
import sys
import threading
from collections import OrderedDict
from types import ModuleType

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.runs import MetricWriter, MLflowWriter, TrackioWriter
from jaxalign.runs._writers import _mlflow_name, scalars

LAYERS = ("input", "layers.0", "block#1[a]", "τ/λ é", "deep." * 60)
ROWS = 7
RESULT = {"status": "finished", "steps": ROWS - 1, "test_loss": 0.25}
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
FOLDERS = ("HOME", "TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where all that a package writes has to be; no thread of it outlives the test."""
    before = set(threading.enumerate())
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    for name in FOLDERS:
        monkeypatch.setenv(name, str(tmp_path / name))
    yield tmp_path
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)  # one that was told to end may need a moment
    assert set(threading.enumerate()) == before


def part_of_run(first, last):
    """Rows of a run that diverged: every second one was measured."""
    steps = np.arange(first, last)
    measured = steps[steps % 2 == 0]
    loss = np.where(steps < ROWS - 1, 1 / (1 + steps), np.nan)
    layers = OrderedDict()
    for i, name in enumerate(LAYERS):
        area = np.where(measured < ROWS - 1, measured + i / 8, np.inf)
        alignment = np.stack([area, area / 2], axis=-1)
        layers[name] = OrderedDict(area=area, alignment=alignment)
    coordinates = {name: {"alignment": {"tau": np.array([0.5, 10.0])}} for name in LAYERS}
    totals = dict.fromkeys(LAYERS, 4.0)
    return ja.History(steps, measured, loss, {"accuracy": loss / 2}, layers, coordinates, totals)


def replay(writer):
    """What ``fit`` calls."""
    writer.write(part_of_run(0, 4))
    writer.write(part_of_run(4, ROWS))
    writer.finish(RESULT)


def expected():
    """{(step, name): value} of all that was written."""
    rows = scalars(part_of_run(0, ROWS))
    return {(step, name): value for step, values in rows for name, value in values.items()}


def test_tensorboard(folder):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from tensorboardX.proto import event_pb2

    replay(ja.TensorBoardWriter(folder))
    (file,) = folder.glob("events.out.*")
    content = file.read_bytes()
    written = {}
    texts = []
    while content:  # length (8), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        for value in event.summary.value:
            if value.HasField("simple_value"):
                written[event.step, value.tag] = value.simple_value
            else:
                texts.append(value.tensor.string_val[0].decode())
    # TensorBoard has float32.
    assert written == pytest.approx(expected(), nan_ok=True)
    assert texts == ["\n".join(f"    {name}: {value}" for name, value in RESULT.items())]


@pytest.mark.slow
def test_wandb(folder):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    from wandb.proto import wandb_internal_pb2

    settings = wandb.Settings(console="off", disable_git=True, x_disable_meta=True)
    with wandb.init(project="jaxalign", dir=folder, settings=settings) as run:
        replay(ja.WandbWriter(run))
    wandb.teardown()
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    written = {}
    summary = {}
    for record in map(wandb_internal_pb2.Record.FromString, records_of_log(file.read_bytes())):
        items = {wandb_name(item): json.loads(item.value_json) for item in record.history.item}
        step = items.get("_step")
        written |= {(step, name): x for name, x in items.items() if not name.startswith("_")}
        summary |= {wandb_name(x): json.loads(x.value_json) for x in record.summary.update}
    assert {key: float(value) for key, value in written.items()} == pytest.approx(
        expected(), nan_ok=True
    )
    assert {name: summary[name] for name in RESULT} == RESULT


def wandb_name(item):
    return item.key or ".".join(item.nested_key)


def records_of_log(content):
    """The records of a .wandb file: LevelDB's log after a header, in blocks of 32 KiB of pieces
    with checksum (4), length (2) and kind (1): whole, first, middle or last of a record.
    """
    header, block = 7, 2**15
    position = header
    record = b""
    while position + header <= len(content):
        if block - position % block < header:
            position += block - position % block
            continue
        length = int.from_bytes(content[position + 4 : position + 6], "little")
        kind = content[position + 6]
        position += header
        record += content[position : position + length]
        position += length
        if kind in (1, 4):
            yield record
            record = b""


@pytest.mark.slow
def test_trackio(folder):
    # Its folder is chosen when it is imported.
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    run = trackio.init("jaxalign", name="run", auto_log_cpu=False, auto_log_gpu=False)
    replay(TrackioWriter(run))
    trackio.finish()
    *rows, result = SQLiteStorage.get_logs("jaxalign", "run")
    names = {name for _, name in expected()}
    written = {(row["step"], name): row[name] for row in rows for name in names & set(row)}
    assert written == pytest.approx(expected(), nan_ok=True)
    assert {name: result[f"result/{name}"] for name in RESULT} == RESULT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what mlflow itself calls
def test_mlflow(folder):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    mlflow.set_tracking_uri((folder / "mlruns").as_uri())
    with mlflow.start_run() as active:
        replay(MLflowWriter(mlflow))
    client = mlflow.MlflowClient()
    run_id = active.info.run_id
    data = client.get_run(run_id).data
    written = {
        (entry.step, name): entry.value
        for name in data.metrics
        for entry in client.get_metric_history(run_id, name)
    }
    named = {(step, _mlflow_name(name)): value for (step, name), value in expected().items()}
    assert written == pytest.approx(named, nan_ok=True)
    assert {name: data.tags[f"result/{name}"] for name in RESULT} == {
        name: str(value) for name, value in RESULT.items()
    }


def test_clu(folder, monkeypatch, caplog):
    pytest.importorskip("clu", reason="clu is not installed")
    # The one module of clu's writers that needs TensorFlow, to write event files.
    summary_writer = ModuleType("clu.metric_writers.summary_writer")
    summary_writer.SummaryWriter = None
    monkeypatch.setitem(sys.modules, summary_writer.__name__, summary_writer)
    from clu import metric_writers

    writer = metric_writers.create_default_writer(just_logging=True)
    with caplog.at_level("INFO", logger="absl"):
        replay(MetricWriter(writer))
        writer.close()
    *rows, result = [re.fullmatch(r"\[(\d+)\] (.*)", text).groups() for text in caplog.messages]
    written = {}
    for step, values in rows:
        for name, value in re.findall(r"(.+?)=([^,]+)(?:, |$)", values):
            written[int(step), name] = float(value)
    # Logged numbers have six digits.
    assert written == pytest.approx(expected(), rel=1e-5, nan_ok=True)
    assert int(result[0]) == ROWS - 1
    texts = ast.literal_eval(result[1].removeprefix("Got texts: ").removesuffix("."))
    assert texts == {f"result/{name}": str(value) for name, value in RESULT.items()}
