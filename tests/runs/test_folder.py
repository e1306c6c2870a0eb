import json
import re
import resource
import shutil
from collections import OrderedDict
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import jaxalign as ja
from jaxalign.runs._lock import LOCK


@pytest.fixture(scope="module")
def finished(task, tmp_path_factory):
    """(folder, history) of a small finished run, which no test changes."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    _, history = task.fit(task.model(), callback=ja.RunWriter(folder, {"note": "test"}).write)
    return folder, history


@pytest.fixture
def run(finished, tmp_path):
    """The same in a folder of the test's own."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run", finished[1]


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def head(history, count):
    """The first rows of a history that was measured at every step."""
    rest = history._replace(coordinates={}, totals={})
    cut = jax.tree.map(lambda x: x[:count], rest)
    return cut._replace(coordinates=history.coordinates, totals=history.totals)


def test_what_was_written_is_read_back_bit_for_bit(finished):
    folder, history = finished
    assert_same(ja.read_history(folder), history)


@pytest.mark.slow
def test_several_models_are_read_back_too(task, tmp_path):
    models = [task.model(seed) for seed in (3, 5, 8)]
    writer = ja.RunWriter(tmp_path / "run", {})
    settings = {"seed": (3, 5, 8), "every": 4}
    _, history = task.fit(models, callback=writer.write, **settings)
    read = ja.read_history(tmp_path / "run")
    assert read.models == 3
    assert_same(read, history)
    first = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(history.loss[0].tolist())
    assert np.load(tmp_path / "run" / "area.npy").shape == (6, 3, 3)
    assert np.load(tmp_path / "run" / "curve.npy").shape == (6, 3, 3, 64)


@pytest.mark.slow
def test_rows_say_which_steps_were_measured(task, tmp_path):
    writer = ja.RunWriter(tmp_path / "run", {})
    _, history = task.fit(task.model(), callback=writer.write, every=4)
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows if row.get("measured")] == list(range(0, 21, 4))
    assert_same(ja.read_history(tmp_path / "run"), history)


def test_rows_are_plain_json_a_step_a_line(finished):
    folder, history = finished
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(21))
    assert set(rows[0]) == {"step", "loss", "accuracy", "measured"}
    config = json.loads((folder / "config.json").read_text())
    assert config["note"] == "test"
    measured = config["measured"]
    assert measured["totals"] == history.totals
    assert measured["arrays"]["curve.npy"]["layers"] == list(history.layers)
    assert measured["arrays"]["curve.npy"]["dimensions"] == ["step", "layer", "tau"]
    tau = history.coordinates["hidden_1"]["curve"]["tau"]
    assert measured["arrays"]["curve.npy"]["coordinates"]["tau"] == tau.tolist()
    assert np.load(folder / "curve.npy").shape == (21, 3, 64)
    assert np.load(folder / "area.npy").shape == (21, 3)
    thresholds = history.coordinates["hidden_1"]["alignment"]["tau"]
    assert np.load(folder / "alignment.npy").shape == (21, 3, len(thresholds))


def test_readable_while_it_runs(task, tmp_path):
    lengths = []
    writer = ja.RunWriter(tmp_path / "run", {})

    def observe(part):
        writer.write(part)
        seen = ja.read_history(tmp_path / "run")
        assert np.isfinite(seen.layers["hidden_2"]["curve"]).all()
        lengths.append(len(seen.step))

    task.fit(task.model(), callback=observe)
    assert lengths == [7, 14, 21]


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_torn_last_line_does_not_count(run, share):
    folder, history = run
    file = folder / "history.jsonl"
    raw = file.read_bytes()
    last = len(raw.splitlines()[-1])
    file.write_bytes(raw[: -1 - int(share * last)])
    assert_same(ja.read_history(folder), head(history, 20))


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
    writer = ja.RunWriter(tmp_path / "run", {})
    _, history = task.fit(task.model(), optax.sgd(1e30), callback=writer.write)
    assert np.isnan(history.loss[-1])
    assert np.isnan(history.layers["hidden_2"]["area"][-1])
    assert_same(ja.read_history(tmp_path / "run"), history)
    last = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1])
    assert last["loss"] is None


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
    (folder / "figures" / "mine.npy").write_text("kept")
    (folder / "figures" / "curve_by_layer.png").write_text("of the old run")
    (folder / "mine.npy").write_text("kept")
    without_null = {
        name: type(logged)((k, v) for k, v in logged.items() if not k.startswith("null"))
        for name, logged in history.layers.items()
    }
    layers = type(history.layers)(without_null)
    ja.RunWriter(folder, {}, overwrite=True).write(head(history._replace(layers=layers), 5))
    assert (folder / "figures" / "mine.npy").read_text() == "kept"
    assert (folder / "mine.npy").read_text() == "kept"
    assert not (folder / "figures" / "curve_by_layer.png").exists()
    assert not (folder / "null_curve.npy").exists()
    assert np.load(folder / "curve.npy").shape == (5, 3, 64)


@pytest.mark.parametrize("overwrite", [False, True])
def test_somebody_elses_files_are_never_replaced(tmp_path, overwrite):
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(
        FileExistsError, match=r"holds no run, but index.html, which a run would replace"
    ):
        ja.RunWriter(tmp_path, {}, overwrite=overwrite)


def test_a_run_that_begins_meanwhile_is_not_touched(finished, tmp_path):
    _, history = finished
    first, second = (ja.RunWriter(tmp_path / "new", {}) for _ in range(2))
    first.write(head(history, 5))
    with pytest.raises(FileExistsError):
        second.write(head(history, 5))
    assert_same(ja.read_history(tmp_path / "new"), head(history, 5))


def test_a_folder_without_a_run_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        ja.read_history(tmp_path)


def test_a_run_that_measures_nothing_is_a_run(task, tmp_path):
    _, history = task.fit(task.model(), monitor=None, callback=ja.RunWriter(tmp_path, {}).write)
    assert_same(ja.read_history(tmp_path), history)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["curve.npy", "history.jsonl"])
def test_a_full_disk_keeps_the_rows_before_and_the_run_goes_on(task, tmp_path, file):
    """A limit on the size of files stands in for a disk that fills up in the middle of a write: of
    the arrays, or, in a run that measures nothing, of the rows.
    """
    model = task.model()
    monitor = task.monitor(model, method="svd") if file == "curve.npy" else None
    write = ja.RunWriter(tmp_path / "whole", {}).write
    _, whole = task.fit(model, monitor=monitor, callback=write)
    folder = tmp_path / "run"
    kept = ja.Checkpoints(tmp_path / "kept", every=6)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = (tmp_path / "whole" / file).stat().st_size * 3 // 4
    writer = ja.RunWriter(folder, {})

    def observe(part):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            writer.write(part)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(OSError, match=r"rows of step .* into .*too large.*making room, and resume"):
        task.fit(model, monitor=monitor, callback=observe, checkpoints=kept)
    seen = ja.read_history(folder)
    assert 0 < len(seen.step) < 21
    np.testing.assert_array_equal(seen.loss, whole.loss[: len(seen.step)])
    write = ja.RunWriter(folder, {}, resume=True).write
    task.fit(model, monitor=monitor, callback=write, checkpoints=kept)
    names = {path.name for path in folder.iterdir()} - {LOCK}
    assert names == {path.name for path in (tmp_path / "whole").iterdir()} - {LOCK}
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file"):
        ja.RunWriter(tmp_path / "file" / "run", {})
    # whoever runs the tests may be allowed to write anywhere
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="is read-only; name another one"):
        ja.RunWriter(tmp_path / "new" / "run", {})


def test_a_page_or_a_picture_leads_to_its_run(tmp_path):
    run = tmp_path / "run"
    (run / "figures").mkdir(parents=True)
    for name in ("config.json", "index.html", "figures/curve.png"):
        (run / name).write_text("{}", encoding="utf-8")
    for name in ("index.html", "figures", "figures/curve.png"):
        with pytest.raises(FileNotFoundError, match=rf"pass {re.escape(str(run))}, which has one"):
            ja.read_history(run / name)
    with pytest.raises(FileNotFoundError, match="holds no run: there is no such folder"):
        ja.read_history(tmp_path / "other")


@pytest.mark.parametrize("value", [Path("x"), np.float32(3), {"deep": [1, {2}]}, {(1, 2): 3}])
def test_what_json_cannot_hold_is_refused_before_anything_is_trained(tmp_path, value):
    with pytest.raises(TypeError, match=r"config must hold what JSON can, found under 'mine'"):
        ja.RunWriter(tmp_path / "run", {"fine": 1, "mine": value})
    with pytest.raises(TypeError, match="config must be"):
        ja.RunWriter(tmp_path / "run", [("mine", value)])
    assert not (tmp_path / "run").exists()


def test_a_config_with_a_number_that_is_not_known_can_be_gone_on_with(finished, tmp_path):
    _, history = finished
    config = {"rate": float("nan"), "of": {"b": 1, "a": [float("inf")]}}
    ja.RunWriter(tmp_path / "run", config).write(head(history, 5))
    assert ja.RunWriter(tmp_path / "run", config, resume=True).rows == 5


@pytest.mark.parametrize("model", [3, -4, [0, 3], (0, 3), None, True, ..., 1.0, [[0, 1]], "0"])
def test_a_model_that_is_not_there_is_named(model):
    step = np.arange(2)
    history = ja.History(step, step, np.ones((2, 3)), {}, OrderedDict(), {}, {})
    with pytest.raises(ValueError, match="model must be from 0 to 2, or several"):
        history.of(model)
    with pytest.raises(ValueError, match="the history of one model"):
        history.of(0).of(0)


@pytest.mark.parametrize("models", [(0, 2), [0, 2], np.array([0, 2]), [True, False, True]])
def test_several_models_are_chosen_by_any_sequence(models):
    step = np.arange(2)
    loss = np.arange(6.0).reshape(2, 3)
    history = ja.History(step, step, loss, {}, OrderedDict(), {}, {})
    np.testing.assert_array_equal(history.of(models).loss, loss[:, [0, 2]])
    np.testing.assert_array_equal(history.of(slice(1, None)).loss, loss[:, 1:])


def test_a_part_that_is_not_the_next_one_is_refused(finished, tmp_path):
    """As of a second run by the same writer: its rows would make the folder unreadable."""
    folder, history = finished
    writer = ja.RunWriter(tmp_path / "run", {})
    writer.write(head(history, 5))
    with pytest.raises(ValueError, match=r"all steps from 5 on, .* found 5 from 0 to 4"):
        writer.write(head(history, 5))
    assert_same(ja.read_history(tmp_path / "run"), head(history, 5))
    with pytest.raises(ValueError, match=r"all steps from 0 on, .* found \d+ from 0 to"):
        ja.RunWriter(tmp_path / "other", {}).write(ja.read_history(folder, steps=slice(0, None, 2)))
    assert not (tmp_path / "other").exists()


def test_a_config_of_which_a_part_would_be_replaced_is_refused(tmp_path):
    with pytest.raises(ValueError, match="config must not hold 'measured', under which the writer"):
        ja.RunWriter(tmp_path / "run", {"measured": ["accuracy"]})
