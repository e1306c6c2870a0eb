"""Runs that stop anywhere and go on as if they had not."""

import json
import shutil

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign._core.npy import append_rows, keep_rows

FILES = ("history.jsonl", "curve.npy", "null_curve.npy", "alignment.npy")


def train(task, folder, *, stop_after=None, resume=False, optimizer=None, model=None, **settings):
    """A run of six chunks of 4 steps that is cut off after some of them, as a killed process would
    be.
    """
    writer = ja.RunWriter(folder, {"note": "test"}, resume=resume)
    parts = []

    def observe(part):
        writer.write(part)
        parts.append(part)
        if len(parts) == stop_after:
            raise RuntimeError("killed")

    kept = ja.Checkpoints(folder / "checkpoints", every=6)
    settings = {"every": 4, "callback": observe, "checkpoints": kept} | settings
    return task.fit(model or task.model(), optimizer, **settings)[0]


def killed(task, folder, stop_after, **settings):
    with pytest.raises(RuntimeError, match="killed"):
        train(task, folder, stop_after=stop_after, **settings)


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        random = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        np.testing.assert_array_equal(*map(jax.random.key_data, (x, y)) if random else (x, y))


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    """(folder, state) of an unbroken run, which no test changes."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, train(task, folder)


@pytest.fixture(scope="module")
def broken_off(task, tmp_path_factory):
    """The folder of a run that was killed after four chunks; a test takes a copy."""
    folder = tmp_path_factory.mktemp("runs") / "broken_off"
    killed(task, folder, 4)
    return folder


@pytest.fixture
def broken(broken_off, tmp_path):
    return shutil.copytree(broken_off, tmp_path / "broken")


@pytest.mark.parametrize("stops", [(3,), pytest.param((2, 1, 2), marks=pytest.mark.slow)])
def test_a_run_in_pieces_is_bit_for_bit_the_whole_run(task, tmp_path, whole, stops):
    folder = tmp_path / "pieces"
    for number, stop in enumerate(stops):
        killed(task, folder, stop, resume=number > 0)
    state = train(task, folder, resume=True)
    for file in FILES:
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes()
    assert_same(state, whole[1])


def test_torn_rows_half_written_checkpoints_and_rows_ahead_of_them_are_undone(task, whole, broken):
    kept = ja.Checkpoints(broken / "checkpoints").steps()
    with open(broken / "history.jsonl", "a") as file:
        file.write('{"step": 16, "lo')
    unfinished = broken / "checkpoints" / "16.orbax-checkpoint-tmp"
    shutil.copytree(broken / "checkpoints" / str(kept[-1]), unfinished)
    train(task, broken, resume=True)
    for file in FILES:
        assert (broken / file).read_bytes() == (whole[0] / file).read_bytes()


def test_a_finished_run_is_returned_as_it_is(task, whole):
    # Nothing is observed, so nothing stops it.
    state = train(task, whole[0], resume=True, stop_after=1)
    assert_same(state, whole[1])


def test_dropout_goes_on_with_its_own_random_numbers(task, tmp_path):
    def model():
        rngs = nnx.Rngs(0)
        first = nnx.Linear(6, 8, rngs=rngs)
        dropout = nnx.Dropout(0.5, rngs=rngs)
        return nnx.Sequential(first, dropout, nnx.relu, nnx.Linear(8, 1, rngs=rngs))

    settings = {"monitor": None, "every": 1}
    expected = train(task, tmp_path / "whole", model=model(), **settings)
    killed(task, tmp_path / "pieces", 2, model=model(), **settings)
    resumed = train(task, tmp_path / "pieces", model=model(), resume=True, **settings)
    whole_rows = (tmp_path / "whole" / "history.jsonl").read_bytes()
    assert whole_rows == (tmp_path / "pieces" / "history.jsonl").read_bytes()
    assert_same(expected, resumed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 8}, "batch_size 16, now 8"),
        ({"seed": 3}, "seed 0, now 3"),
        ({"steps": 60}, "steps 20, now 60"),
        ({"optimizer": optax.sgd(0.1)}, "does not fit"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(task, whole, changed, message):
    with pytest.raises(ValueError, match=message):
        train(task, whole[0], resume=True, **changed)


def test_a_damaged_checkpoint_is_named(task, broken):
    newest = ja.Checkpoints(broken / "checkpoints").steps()[-1]
    for file in (broken / "checkpoints" / str(newest)).rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(
        ValueError, match=rf"checkpoint {newest} in .* (cannot be read|does not fit)"
    ):
        train(task, broken, resume=True)


def test_a_checkpoint_of_an_older_layout_is_refused_by_name(task, tmp_path):
    """One that holds its arrays by position, and the same settings."""
    settings = {"rows": 90, "batch_size": 16, "steps": 20, "every": 1, "length": 7, "seed": [0]}
    leaves = jax.tree.leaves(nnx.state(task.model()))
    arrays = {f"{i:05}": np.asarray(x) for i, x in enumerate(leaves)}
    content = {"state": ocp.args.StandardSave(arrays), "settings": ocp.args.JsonSave(settings)}
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(8, args=ocp.args.Composite(**content))
    message = rf"checkpoint 8 in .*{tmp_path.name} .*of an older layout.* in another folder"
    with pytest.raises(ValueError, match=message):
        task.fit(task.model(), monitor=None, checkpoints=ja.Checkpoints(tmp_path))


def test_arrays_of_a_checkpoint_have_the_names_they_have_in_the_model(whole):
    kept = ja.Checkpoints(whole[0] / "checkpoints")
    with ocp.CheckpointManager(kept.folder) as manager:
        saved = manager.restore(
            kept.steps()[-1], args=ocp.args.Composite(state=ocp.args.StandardRestore())
        ).state
    assert "step" in saved
    kernels = [name for name in saved if name.startswith("model.hidden_1.kernel")]
    np.testing.assert_array_equal(saved[kernels[0]], whole[1].model["hidden_1"]["kernel"][...])


def test_a_run_of_another_config_is_refused_before_it_begins(whole):
    with pytest.raises(
        ValueError, match="another config: note differ; note was 'test', now 'other'"
    ):
        ja.RunWriter(whole[0], {"note": "other"}, resume=True)
    with pytest.raises(ValueError, match="set one of them"):
        ja.RunWriter(whole[0], {"note": "test"}, resume=True, overwrite=True)


def test_rows_that_are_missing_before_the_checkpoint_are_an_error(task, broken):
    lines = (broken / "history.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(lines[5])["step"] == 5
    (broken / "history.jsonl").write_text("".join(lines[:5]))
    with pytest.raises(
        ValueError, match=r"must hold the \d+ rows before step \d+ to go on from it, found 5"
    ):
        train(task, broken, resume=True)


def test_pairs_with_the_start_are_those_of_step_0_after_a_resume(task, tmp_path):
    change = ja.monitoring.of_pair(lambda x, start: ((x - start) ** 2).mean(), reference="start")
    monitor = task.monitor(task.model(), measures={"change": change})
    expected = train(task, tmp_path / "whole", monitor=monitor)
    killed(task, tmp_path / "pieces", 3, monitor=monitor)
    assert_same(train(task, tmp_path / "pieces", monitor=monitor, resume=True), expected)
    histories = [ja.read_history(tmp_path / name) for name in ("whole", "pieces")]
    assert_same(histories[0].layers, histories[1].layers)
    logged = histories[0].layers["hidden_2"]["change"]
    assert logged[0] == 0
    assert (logged[1:] > 0).all()


def test_rows_of_an_array_are_let_go(tmp_path):
    append_rows(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    keep_rows(tmp_path / "x.npy", 2)
    append_rows(tmp_path / "x.npy", np.full((1, 2), 7.0))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [[0, 1], [2, 3], [7, 7]])
    with pytest.raises(ValueError, match="must hold 9 rows to go on from, found 3"):
        keep_rows(tmp_path / "x.npy", 9)
