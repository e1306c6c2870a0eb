import json
import resource

import jax
import numpy as np
import optax
import pytest

import jaxalign as ja

STEPS = 20


def train(task, observe, optimizer=None, models=None, **settings):
    """The history of a small measured run, of one model unless told, whose chunks go to
    ``observe``.
    """
    model = task.model()
    settings = {"batch_size": 16, "monitor": task.monitor(model), "callback": observe} | settings
    return ja.fit(models or model, optimizer or optax.adam(1e-2), task.inputs, task.labels, **settings)[1]


@pytest.fixture
def run(task, tmp_path):
    """(folder, history) of a small finished run."""
    writer = ja.RunWriter(tmp_path / "run", {"note": "test"})
    return tmp_path / "run", train(task, writer.write, steps=STEPS, chunk=6)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def head(history, count):
    layers = {name: ja.Record(*(x[:count] for x in record)) for name, record in history.layers.items()}
    metrics = {name: x[:count] for name, x in history.metrics.items()}
    steps = {"step": history.step[:count], "measured": history.measured[:count]}
    return history._replace(**steps, loss=history.loss[:count], metrics=metrics, layers=type(history.layers)(layers))


def test_what_was_written_is_read_back_bit_for_bit(run):
    folder, history = run
    assert_same(ja.read_history(folder), history)


def test_several_models_are_read_back_too(task, tmp_path):
    writer = ja.RunWriter(tmp_path / "run", {})
    history = train(task, writer.write, models=[task.model(seed) for seed in (1, 2, 3)], steps=STEPS, chunk=6, every=3)
    read = ja.read_history(tmp_path / "run")
    assert read.models == 3
    assert_same(read, history)
    first = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(history.loss[0].tolist())
    assert np.load(tmp_path / "run" / "curves.npy").shape == (7, 3, 3, 64)


def test_steps_that_were_not_measured_have_no_layers(task, tmp_path):
    writer = ja.RunWriter(tmp_path / "run", {})
    history = train(task, writer.write, steps=STEPS, chunk=6, every=3)
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "layers" in row] == list(range(0, STEPS + 1, 3))
    assert_same(ja.read_history(tmp_path / "run"), history)


def test_rows_are_plain_json_a_step_a_line(run):
    folder, history = run
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(STEPS + 1))
    assert set(rows[0]) == {"step", "loss", "accuracy", "layers"}
    assert set(rows[0]["layers"]) == {"input", "hidden_1", "hidden_2"}
    assert len(rows[0]["layers"]["hidden_1"]["alignment"]) == len(history.thresholds)
    assert json.loads((folder / "config.json").read_text())["note"] == "test"
    assert np.load(folder / "curves.npy").shape == (STEPS + 1, 3, 64)


def test_readable_while_it_runs(task, tmp_path):
    lengths = []
    writer = ja.RunWriter(tmp_path / "run", {})

    def observe(part):
        writer.write(part)
        seen = ja.read_history(tmp_path / "run")
        assert np.isfinite(seen.layers["hidden_2"].curve).all()
        lengths.append(len(seen.step))

    train(task, observe, optax.sgd(0.1), steps=30, chunk=8)
    assert lengths == [8, 16, 24, 31]


@pytest.mark.parametrize("torn", [1, 50, 300])
def test_a_torn_last_line_does_not_count(run, torn):
    folder, history = run
    file = folder / "history.jsonl"
    raw = file.read_bytes()
    file.write_bytes(raw[:-torn])
    assert_same(ja.read_history(folder), head(history, STEPS))


def test_damage_before_the_end_is_an_error(run):
    folder, _ = run
    file = folder / "history.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:3], lines[3][:20] + "\n", *lines[4:]]))
    with pytest.raises(ValueError, match=r"line 4 of .* is damaged"):
        ja.read_history(folder)
    file.write_text("".join([*lines[:3], *lines[4:]]))
    with pytest.raises(ValueError, match=r"line 4 of .* must be step 3, found 4"):
        ja.read_history(folder)


def test_nan_survives_the_round_trip(task, tmp_path):
    history = train(task, ja.RunWriter(tmp_path / "run", {}).write, optax.sgd(1e30), steps=10)
    assert np.isnan(history.loss[-1])
    assert_same(ja.read_history(tmp_path / "run"), history)


def test_two_runs_never_mix(run):
    folder, history = run
    with pytest.raises(FileExistsError, match=r"already holds a run .* with overwrite"):
        ja.RunWriter(folder, {})
    (folder / "mine.txt").write_text("kept")
    replacing = ja.RunWriter(folder, {}, overwrite=True)
    assert_same(ja.read_history(folder), history)  # nothing happens before the first chunk
    replacing.write(head(history, 5))
    assert_same(ja.read_history(folder), head(history, 5))
    assert (folder / "mine.txt").read_text() == "kept"


def test_overwriting_deletes_a_run_and_nothing_else(run):
    folder, history = run
    (folder / "figures").mkdir()
    (folder / "figures" / "mine.png").write_text("kept")
    (folder / "figures" / "curve_by_layer.png").write_text("of the old run")
    ja.RunWriter(folder, {}, overwrite=True).write(head(history, 5))
    assert (folder / "figures" / "mine.png").read_text() == "kept"
    assert not (folder / "figures" / "curve_by_layer.png").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_somebody_elses_files_are_never_replaced(tmp_path, overwrite):
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(FileExistsError, match=r"holds no run, but index.html, which a run would replace"):
        ja.RunWriter(tmp_path, {}, overwrite=overwrite)


def test_a_run_that_begins_meanwhile_is_not_touched(run, tmp_path):
    _, history = run
    first, second = (ja.RunWriter(tmp_path / "new", {}) for _ in range(2))
    first.write(head(history, 5))
    with pytest.raises(FileExistsError):
        second.write(head(history, 5))
    assert_same(ja.read_history(tmp_path / "new"), head(history, 5))


def test_a_folder_without_a_run_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        ja.read_history(tmp_path)


def test_a_run_that_measures_nothing_is_a_run(task, tmp_path):
    writer = ja.RunWriter(tmp_path, {})
    _, history = ja.fit(task.model(), optax.sgd(0.1), task.inputs, task.labels, steps=9, chunk=4, callback=writer.write)
    assert_same(ja.read_history(tmp_path), history)


def test_a_full_disk_keeps_the_rows_before_and_the_run_goes_on(task, tmp_path):
    """A limit on the size of files stands in for a disk that fills up in the middle of a write."""
    settings = {"steps": 40, "chunk": 6, "every": 2}
    whole = train(task, ja.RunWriter(tmp_path / "whole", {}).write, **settings)
    folder, kept = tmp_path / "run", ja.Checkpoints(tmp_path / "kept", every=6)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "whole" / "history.jsonl").stat().st_size

    writer = ja.RunWriter(folder, {})

    def observe(part):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
        try:
            writer.write(part)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(OSError, match="too large"):
        train(task, observe, checkpoints=kept, **settings)
    seen = ja.read_history(folder)
    assert 0 < len(seen.step) < 41
    np.testing.assert_array_equal(seen.loss, whole.loss[: len(seen.step)])
    train(task, ja.RunWriter(folder, {}, resume=True).write, checkpoints=kept, **settings)
    for file in ("history.jsonl", "curves.npy", "null.npy"):
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file"):
        ja.RunWriter(tmp_path / "file" / "run", {})
    # whoever runs the tests may be allowed to write anywhere
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="is read-only; name another one"):
        ja.RunWriter(tmp_path / "new" / "run", {})
