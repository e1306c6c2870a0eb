"""Runs that stop anywhere and go on as if they had not."""

import json
import shutil

import jax
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign._core.npy import append_rows, keep_rows

STEPS = 40
FILES = ("history.jsonl", "curves.npy", "null.npy")


def train(task, folder, *, stop_after=None, resume=False, optimizer=None, model=None, **settings):
    """A measured run of chunks of 5 steps that is cut off after some of them, as a killed process
    would be.
    """
    model = model or task.model()
    writer = ja.RunWriter(folder, {"note": "test"}, resume=resume)
    seen = []

    def observe(part):
        writer.write(part)
        seen.append(part)
        if len(seen) == stop_after:
            raise RuntimeError("killed")

    kept = ja.Checkpoints(folder / "checkpoints", every=10)
    settings = {"steps": STEPS, "batch_size": 16, "chunk": 5, "every": 2} | settings
    if "monitor" not in settings:
        settings["monitor"] = task.monitor(model)
    state, _ = ja.fit(
        model,
        optimizer or optax.adam(1e-2),
        task.inputs,
        task.labels,
        callback=observe,
        checkpoints=kept,
        **settings,
    )
    return state


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        random = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        np.testing.assert_array_equal(*map(jax.random.key_data, (x, y)) if random else (x, y))


@pytest.fixture
def whole(task, tmp_path):
    return tmp_path / "whole", train(task, tmp_path / "whole")


@pytest.mark.parametrize("stops", [(3,), (4, 1, 3)])
def test_a_run_in_pieces_is_bit_for_bit_the_whole_run(task, tmp_path, whole, stops):
    folder = tmp_path / "pieces"
    for number, stop in enumerate(stops):
        with pytest.raises(RuntimeError, match="killed"):
            train(task, folder, stop_after=stop, resume=number > 0)
    state = train(task, folder, resume=True)
    for file in FILES:
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes()
    assert_same(state, whole[1])


def test_torn_rows_half_written_checkpoints_and_rows_ahead_of_them_are_undone(
    task, tmp_path, whole
):
    folder = tmp_path / "torn"
    with pytest.raises(RuntimeError, match="killed"):
        train(task, folder, stop_after=6)
    kept = ja.Checkpoints(folder / "checkpoints").steps()
    with open(folder / "history.jsonl", "a") as file:
        file.write('{"step": 30, "lo')
    shutil.copytree(
        folder / "checkpoints" / str(kept[-1]), folder / "checkpoints" / "30.orbax-checkpoint-tmp"
    )
    train(task, folder, resume=True)
    for file in FILES:
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes()


def test_a_finished_run_is_returned_as_it_is(task, tmp_path, whole):
    state = train(
        task, whole[0], resume=True, stop_after=1
    )  # nothing is observed, so nothing stops it
    assert_same(state, whole[1])


def test_dropout_goes_on_with_its_own_random_numbers(task, tmp_path):
    def model():
        rngs = nnx.Rngs(0)
        layers = (
            nnx.Linear(6, 8, rngs=rngs),
            nnx.Dropout(0.5, rngs=rngs),
            nnx.relu,
            nnx.Linear(8, 1, rngs=rngs),
        )
        return nnx.Sequential(*layers)

    settings = {"monitor": None, "every": 1}
    expected = train(task, tmp_path / "whole", model=model(), **settings)
    with pytest.raises(RuntimeError, match="killed"):
        train(task, tmp_path / "pieces", model=model(), stop_after=4, **settings)
    found = train(task, tmp_path / "pieces", model=model(), resume=True, **settings)
    assert (tmp_path / "whole" / "history.jsonl").read_bytes() == (
        tmp_path / "pieces" / "history.jsonl"
    ).read_bytes()
    assert_same(expected, found)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 8}, "batch_size 16, now 8"),
        ({"seed": 3}, "seed 0, now 3"),
        ({"steps": 60}, "steps 40, now 60"),
        ({"optimizer": optax.sgd(0.1)}, "does not fit"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(task, whole, changed, message):
    with pytest.raises(ValueError, match=message):
        train(task, whole[0], resume=True, **changed)


def test_a_damaged_checkpoint_is_named(task, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="killed"):
        train(task, folder, stop_after=6)
    newest = ja.Checkpoints(folder / "checkpoints").steps()[-1]
    for file in (folder / "checkpoints" / str(newest)).rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(
        ValueError, match=rf"checkpoint {newest} in .* (cannot be read|does not fit)"
    ):
        train(task, folder, resume=True)


def test_a_run_of_another_config_is_refused_before_it_begins(task, whole):
    with pytest.raises(
        ValueError, match="another config: note differ; note was 'test', now 'other'"
    ):
        ja.RunWriter(whole[0], {"note": "other"}, resume=True)
    with pytest.raises(ValueError, match="set one of them"):
        ja.RunWriter(whole[0], {"note": "test"}, resume=True, overwrite=True)


def test_rows_that_are_missing_before_the_checkpoint_are_an_error(task, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="killed"):
        train(task, folder, stop_after=6)
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(lines[5])["step"] == 5
    (folder / "history.jsonl").write_text("".join(lines[:5]))
    with pytest.raises(
        ValueError, match=r"must hold the \d+ rows before step \d+ to go on from it, found 5"
    ):
        train(task, folder, resume=True)


def test_rows_of_an_array_are_let_go(tmp_path):
    append_rows(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    keep_rows(tmp_path / "x.npy", 2)
    append_rows(tmp_path / "x.npy", np.full((1, 2), 7.0))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [[0, 1], [2, 3], [7, 7]])
    with pytest.raises(ValueError, match="must hold 9 rows to go on from, found 3"):
        keep_rows(tmp_path / "x.npy", 9)
