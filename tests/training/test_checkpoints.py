"""Runs that stop anywhere and go on as if they had not."""

import json
import logging
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax.sharding import AxisType

import jaxalign as ja
from jaxalign._core.digests import digest_of_program
from jaxalign._core.npy import append_rows, keep_rows
from jaxalign.training._named_arrays import as_state, saved_arrays

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


@pytest.fixture(scope="module")
def unfinished(task, tmp_path_factory):
    """The folder of a run that was killed with two checkpoints; a test takes a copy."""
    folder = tmp_path_factory.mktemp("runs") / "unfinished"
    killed(task, folder, 5)
    assert len(ja.Checkpoints(folder / "checkpoints").steps()) == 2
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


def test_every_array_has_a_name_of_its_own_also_where_keys_hold_dots():
    first, second, third = (jnp.full(2, i) for i in range(3))
    tree = {
        "a.b": first,
        "a": {"b": second, "b~2": third},
        "": jax.random.key(0),
        "empty": first[:0],
    }
    arrays = dict(saved_arrays(tree))
    assert len(arrays) == 4
    assert_same(as_state(arrays, tree), tree)


@pytest.mark.slow
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


@pytest.mark.slow
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


def halved(outputs, labels):
    """Another objective than ``classification``, by one number."""
    loss, metrics = ja.training.classification(outputs, labels)
    return 0.5 * loss, metrics


def weighted(weights):
    """Objectives that differ in a constant of theirs alone."""
    return lambda outputs, labels: jnp.mean(outputs[:, 0] * jax.jit(lambda y: weights[y])(labels))


OTHER_RUNS = [
    ({"batch_size": 8}, "batch_size 16, now 8"),
    ({"seed": 3}, "seed 0, now 3"),
    ({"chunk": 9}, "chunk 7, now 9"),
    ({"every": 2}, "every 4, now 2"),
    ({"steps": 19}, "steps must be at least 20"),
    ({"optimizer": optax.sgd(0.1)}, "other arrays of model or optimizer"),
    ({"optimizer": optax.adam(1e-2 + 1e-8)}, "other optimizer"),
    ({"optimizer": optax.adam(optax.cosine_decay_schedule(1e-2, 60)), "steps": 60}, "optimizer"),
    ({"optimizer": optax.adam(1e-2, b1=0.8)}, "other optimizer"),
    ({"objective": halved}, "other model or objective"),
    ({"data": "inputs"}, "other training data"),
    ({"data": "labels"}, "other training data"),
    ({"model": 1}, "other initial state"),
    ({"monitored": 1}, "other monitored data"),
]


@pytest.mark.parametrize(("changed", "message"), OTHER_RUNS, ids=[m for _, m in OTHER_RUNS])
def test_a_checkpoint_of_another_run_is_refused(task, whole, changed, message):
    """One number is enough, and nothing of the run is touched."""
    before = {file: (whole[0] / file).read_bytes() for file in FILES}
    changed = dict(changed)
    if "model" in changed:
        changed["model"] = task.model(changed["model"])
    if "monitored" in changed:
        rows = task.inputs[40 - changed.pop("monitored") :][:40]
        targets = ja.encode_targets(task.labels[:40])
        changed["monitor"] = ja.monitor(
            ja.tap(task.model(), "hidden_*"), rows, targets, method="svd"
        )
    which = changed.pop("data", None)
    if which:
        task = task._replace(**{which: getattr(task, which).copy()})
        getattr(task, which)[89] = 1 - getattr(task, which)[89]
    with pytest.raises(ValueError, match=message):
        train(task, whole[0], resume=True, **changed)
    assert before == {file: (whole[0] / file).read_bytes() for file in FILES}


def test_a_constant_inside_a_function_tells_programs_apart():
    arrays = jnp.ones((3, 1)), jnp.zeros(3, int)
    one, same, other = (
        digest_of_program(weighted(jnp.array([1.0, x])), *arrays) for x in (2, 2, 2.5)
    )
    assert one == same != other


def test_a_program_is_the_same_on_each_mesh():
    """Also where it calls a function twice, or draws numbers."""
    rule = optax.apply_if_finite(optax.sgd(0.1), 3)

    def program(x, key):
        kept = x * jax.random.bernoulli(key, 0.5, x.shape)
        return rule.update(kept, rule.init(x), x)

    key = jax.eval_shape(jax.random.key, 0)
    digests = {digest_of_program(program, jnp.ones((3, 4)), key)}
    for kind in AxisType.Auto, AxisType.Explicit:
        with jax.set_mesh(jax.make_mesh((4,), ("data",), axis_types=(kind,))):
            digests.add(digest_of_program(program, np.ones((3, 4), np.float32), key))
    assert len(digests) == 1


def test_other_libraries_are_told_and_what_they_compute_is_not_compared(
    task, whole, tmp_path, monkeypatch, caplog
):
    shutil.copytree(whole[0], tmp_path / "run")
    monkeypatch.setattr("jaxalign.training._fingerprint.version", lambda library: "9.9")
    other = {"optimizer": optax.adam(2e-2)}
    train(task, tmp_path / "run", resume=True, **other)
    assert re.search(r"jax 9\.9.*cannot be told", caplog.text)
    with pytest.raises(ValueError, match="batch_size 16, now 8"):
        train(task, tmp_path / "run", resume=True, batch_size=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "chunk"),
    [
        (9, 7),
        pytest.param(12, 7, marks=pytest.mark.slow),
        pytest.param(3, 8, marks=pytest.mark.slow),
    ],
)
def test_a_finished_run_is_extended_bit_for_bit(task, tmp_path, whole, first, chunk):
    """Wherever the first run ends: within a chunk, at its end, or within a first one that is
    shorter than all others would be.
    """
    folder = tmp_path / "run"
    if chunk != 7:
        # Another program: its last bits differ.
        whole = tmp_path / "whole", train(task, tmp_path / "whole", chunk=chunk)
    train(task, folder, steps=first, chunk=chunk)
    (folder / "result.json").write_text("{}")
    state = train(task, folder, resume=True, chunk=chunk)
    assert_same(state, whole[1])
    for file in FILES:
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes()
    # What was written of the shorter run is not said of the longer one.
    assert not (folder / "result.json").exists()


def emptied(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def cut(folder):
    for file in folder.rglob("d/*"):
        file.write_bytes(file.read_bytes()[:-20])


def without_arrays(folder):
    shutil.rmtree(folder / "state")


def without_settings(folder):
    shutil.rmtree(folder / "settings")


def without_data(folder):
    for data in list(folder.rglob("d")):
        shutil.rmtree(data)


def changed(folder):
    for file in folder.rglob("d/*"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


def without_digests(folder):
    """Killed before they were written; what the storage says then counts."""
    (folder / "files.json").unlink()
    without_data(folder)


FEW = [cut, without_settings]
DAMAGE = [emptied, changed, without_arrays, without_data, without_digests]


# Threads of the storage go on after a read has failed, see ``without_digests``.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "damage", [*FEW, *(pytest.param(damage, marks=pytest.mark.slow) for damage in DAMAGE)]
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(
    task, whole, unfinished, tmp_path, damage, caplog
):
    folder = shutil.copytree(unfinished, tmp_path / "run")
    kept = ja.Checkpoints(folder / "checkpoints")
    older, newest = kept.steps()
    damage(kept.folder / str(newest))
    state = train(task, folder, resume=True)
    assert re.search(rf"checkpoint {newest} .* going on from checkpoint {older}", caplog.text)
    assert_same(state, whole[1])
    for file in FILES:
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes()
    # The damaged one was replaced.
    assert_same(train(task, folder, resume=True), whole[1])


def test_what_cannot_be_a_checkpoint_is_passed_over(task, whole, tmp_path, caplog):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    (folder / "checkpoints" / "999").mkdir()
    (folder / "checkpoints" / "30").write_text("a file")
    (folder / "checkpoints" / "20 copy").mkdir()
    assert_same(train(task, folder, resume=True), whole[1])
    assert re.search(r"checkpoint 999 .*going on from checkpoint 20", caplog.text)


def test_a_place_that_cannot_hold_checkpoints_is_refused_before_anything_is_trained(task, tmp_path):
    (tmp_path / "file").write_text("")
    called = []
    with pytest.raises(NotADirectoryError, match="file is a file"):
        task.fit(
            task.model(),
            monitor=None,
            callback=called.append,
            checkpoints=ja.Checkpoints(tmp_path / "file" / "checkpoints"),
        )
    assert not called


@pytest.mark.slow
def test_a_checkpoint_that_finds_no_room_is_told_once_and_the_run_can_go_on(
    task, tmp_path, whole, caplog, monkeypatch
):
    def full(*_, **__):
        logging.getLogger("absl").error("a traceback of orbax's")
        raise ValueError("OUT_OF_RANGE: No space left on device\nmore of it")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", full)
        with pytest.raises(OSError, match=r"checkpoint 8 .*left on device\).*from step 0"):
            train(task, tmp_path / "run")
    assert caplog.text == ""
    assert_same(train(task, tmp_path / "run", resume=True), whole[1])


def test_without_a_whole_checkpoint_the_run_says_what_to_do(task, unfinished, tmp_path):
    folder = shutil.copytree(unfinished, tmp_path / "run")
    for step in ja.Checkpoints(folder / "checkpoints").steps():
        emptied(folder / "checkpoints" / str(step))
    with pytest.raises(ValueError, match=r"cannot be read, and there is none before; delete .*run"):
        train(task, folder, resume=True)


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


@pytest.mark.slow
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
