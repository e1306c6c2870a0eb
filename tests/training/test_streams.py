"""Streams: batches from an iterable are those of arrays in memory, and whatever goes wrong in them
is said, with what was trained until then kept.
"""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxalign as ja
from jaxalign.capture._networks import split_model
from jaxalign.monitoring import of_features
from jaxalign.training import classification
from jaxalign.training._arrays import Arrays
from jaxalign.training._batches import Reading
from jaxalign.training._data import Answers, checked_source
from jaxalign.training._schedule import schedule

SETTINGS = {"steps": 20, "chunk": 7}
MEAN = {"mean": of_features(jnp.mean)}


def run(task, data, **settings):
    """A short run; what keeps these settings shares one compiled program."""
    return ja.fit(task.model(), optax.adam(1e-2), data, **SETTINGS | settings)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def batches(task):
    """What ``fit`` draws from the arrays of the task, for 20 steps and more."""
    (block,) = Arrays(task.inputs, task.labels, 16, [0]).blocks(schedule(40, 1, 41), 0)
    return [(task.inputs[rows], task.labels[rows]) for rows in block.samples[:, 0]]


@pytest.fixture(scope="module")
def whole(task, batches):
    """What a run of arrays comes to, and of the same batches."""
    return task.fit(task.model(), monitor=None)


def stream(task, data, keys=("image", "label"), chunk_bytes=10**6):
    """A Source of labels for ``classification``."""
    source = checked_source(data, None, None, [0], Reading(keys, chunk_bytes, False))
    first = split_model(task.model(), None)
    return source.checked(Answers(classification, first, source.batch_inputs, {}))


def blocks_of(task, data, **settings):
    """The samples of all blocks of a run."""
    blocks = stream(task, data, **settings).blocks(schedule(20, 1, 7), 0, None)
    return [block.samples for block in blocks]


def as_dicts(batches):
    return [{"x": x.tolist(), "y": y.astype(float), "z": None} for x, y in batches]


WAYS = {
    "a list": lambda b: b,
    "a generator": lambda b: (pair for pair in b),
    "dicts of numbers": as_dicts,
    "lists of jax's arrays": lambda b: [list(map(jnp.asarray, pair)) for pair in b],
}


@pytest.mark.parametrize("way", WAYS)
def test_blocks_are_the_batches(task, batches, way):
    blocks = blocks_of(task, WAYS[way](batches), keys=("x", "y"))
    for found, expected in zip(
        zip(*blocks, strict=True), zip(*batches[:21], strict=True), strict=True
    ):
        assert all(x.shape[:3] == (7, 1, 16) for x in found)
        np.testing.assert_array_equal(np.concatenate(found)[:, 0], np.stack(expected))
        assert found[0].dtype == expected[0].dtype


def test_a_stream_is_the_arrays_it_holds(task, batches, whole):
    assert_same(run(task, batches), whole)


def test_arrays_in_memory_may_be_a_dict(task, whole):
    data = {"image": task.inputs, "label": task.labels}
    assert_same(run(task, data, batch_size=16), whole)


def test_a_stream_of_exactly_the_steps_has_its_last_loss_on_the_last_batch(task, batches, whole):
    state, history = run(task, iter(batches[:20]))
    assert_same(state, whole[0])
    np.testing.assert_array_equal(history.loss[:20], whole[1].loss[:20])
    again = run(task, [*batches[:20], batches[19]])[1]
    np.testing.assert_array_equal(history.loss, again.loss)


def with_change(batches, change):
    """The batches, of which the one of step 16 is another."""
    inputs, labels = batches[16]
    return [*batches[:16], change(inputs, labels), *batches[17:]]


def failing(batches):
    yield from batches[:16]
    raise OSError("disk on fire")


FAULTS = {
    "data ended after 16 batches of 16 rows, for steps=20; pass steps=16": lambda b: b[:16],
    "data ended after 16 batches of 16 rows and 1 with fewer, for steps=20": lambda b: (
        [*b[:16], (b[0][0][:3], b[0][1][:3])]
    ),
    r"batch 16 of data: inputs must be float32 of shape \(16, 6\)": lambda b: with_change(
        b, lambda x, y: (x[:, :5], y)
    ),
    "batch 16 of data: inputs must be float32 .* found int64": lambda b: with_change(
        b, lambda x, y: (x.astype(int), y)
    ),
    "batch 16 of data: inputs must be float32 .* found float64": lambda b: with_change(
        b, lambda x, y: (x.astype(float), y)
    ),
    r"batch 16 of data: inputs .* found float32 of shape \(17, 6\)": lambda b: with_change(
        b, lambda x, y: (np.append(x, x[:1], axis=0), np.append(y, y[:1]))
    ),
    "batch 16 of data: labels must be int32 .* found float64": lambda b: with_change(
        b, lambda x, y: (x, y * 1.0)
    ),
    "batch 16 of data: inputs and labels must have as many rows": lambda b: with_change(
        b, lambda x, y: (x, y[:3])
    ),
    "batch 16 of data: batches must be pairs": lambda b: with_change(b, lambda x, y: x),
    r"in batches 14 \.\.\. 20 of data: labels must be 0 or 1": lambda b: with_change(
        b, lambda x, y: (x, y + 1)
    ),
    r"in batches 14 \.\.\. 20 of data: inputs must be finite": lambda b: with_change(
        b, lambda x, y: (x / 0, y)
    ),
    "disk on fire": failing,
}


@pytest.mark.filterwarnings("ignore:divide by zero|invalid value")
@pytest.mark.parametrize("message", FAULTS)
def test_faults_are_said_after_the_blocks_before(task, batches, message):
    blocks = stream(task, FAULTS[message](batches)).blocks(schedule(20, 1, 7), 0, None)
    next(blocks)
    next(blocks)
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        next(blocks)


def test_what_was_trained_before_a_fault_is_delivered(task, batches, whole):
    parts = []
    with pytest.raises(OSError, match="disk on fire"):
        run(task, failing(batches), callback=parts.append)
    rows = np.concatenate([part.loss for part in parts])
    np.testing.assert_array_equal(rows, whole[1].loss[:14])


@pytest.mark.slow
def test_after_a_fault_a_run_goes_on_from_where_it_was_saved(task, batches, whole, tmp_path):
    kept = ja.Checkpoints(tmp_path)
    with pytest.raises(ValueError, match="data ended after 16"):
        run(task, batches[:16], checkpoints=kept)
    assert kept.steps() == [14]
    state, rest = run(task, batches, checkpoints=kept)
    assert_same((state, rest.loss), (whole[0], whole[1].loss[14:]))


NO_STREAMS = {
    "data must hold at least one batch, found none": ([], {}),
    "data must be arrays or an iterable of batches, found 3": (3, {}),
    "batch 0 of data: batches must be pairs .* found a tuple of 3": ([(1, 2, 3)], {}),
    "batch 0 of data: batches must be pairs .* found 'ab'": (["ab"], {}),
    "batch 0 of data: a dict must have the keys 'image' and 'label', found 'a'": ([{"a": 1}], {}),
    "batch 0 of data: labels must be one per row, found 1: a sample, no batch": (
        [(np.zeros(6), 1)],
        {},
    ),
    "keys must be two names, of inputs and of labels, found 'xy'": ([], {"keys": "xy"}),
    "chunk_bytes must be at least 1, found 0": ([], {"chunk_bytes": 0}),
    "batch_size must be the 16 rows of the batches in data, found 8": (..., {"batch_size": 8}),
    "batch 0 of data: labels must be 0 or 1": ([(np.zeros((2, 6)), [1, 2])], {}),
    "labels must be None where data is a stream": (iter([]), {"labels": [1, 2]}),
}


@pytest.mark.parametrize("message", NO_STREAMS)
def test_what_is_no_stream_is_said_before_anything_is_trained(task, batches, message):
    data, settings = NO_STREAMS[message]
    with pytest.raises((ValueError, TypeError), match=message):
        run(task, batches if data is ... else data, **settings)


def test_models_have_one_order_of_a_stream(task, batches):
    models = [task.model(0), task.model(1)]
    with pytest.raises(ValueError, match="seed must be one number where data is a stream, found 2"):
        ja.fit(models, optax.sgd(0.1), batches, steps=1, seed=(0, 1))


def test_short_batches_are_dropped_and_counted(task, batches):
    short = batches[0][0][:3], batches[0][1][:3]
    data = [
        part for i, pair in enumerate(batches) for part in ([pair, short] if i % 5 == 4 else [pair])
    ]
    with pytest.warns(UserWarning, match="4 batches of data had fewer rows than the 16"):
        assert_same(blocks_of(task, data), blocks_of(task, batches))
    with pytest.raises(ValueError, match="and fewer in the one before too"):
        blocks_of(task, [batches[0], short, short])


class Loader:
    """Begins again with each ``iter``, with a short batch in each epoch."""

    def __init__(self, task):
        self.task = task

    def __iter__(self):
        for epoch in range(5):
            order = np.random.default_rng(epoch).permutation(90)
            for i in range(0, 90, 16):
                rows = order[i : i + 16]
                yield self.task.inputs[rows], self.task.labels[rows]


class Source:
    """Rows for grain, which knows a source again by its repr."""

    def __init__(self, task):
        self.task = task

    def __len__(self):
        return 90

    def __getitem__(self, row):
        return {"image": self.task.inputs[row], "label": self.task.labels[row]}


def loaders(task):
    grain = pytest.importorskip("grain")
    dataset = grain.MapDataset.source(Source(task)).seed(0).shuffle().repeat(9)
    sampler = grain.samplers.IndexSampler(90, shuffle=True, seed=0, num_epochs=9)
    return {
        "dataset": lambda: dataset.to_iter_dataset().batch(16),
        "iterator": lambda: iter(dataset.to_iter_dataset().batch(16)),
        "loader": lambda: grain.DataLoader(
            data_source=Source(task), sampler=sampler, operations=[grain.transforms.Batch(16)]
        ),
    }


def resumed(task, make, folder):
    """Losses of a run that breaks off at row 13 and goes on, and of an unbroken one."""
    kept = ja.Checkpoints(folder, every=7)

    def stop(part):
        if part.step[-1] == 13:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run(task, make(), checkpoints=kept, callback=stop)
    assert kept.steps() == [7]
    state, rest = run(task, make(), checkpoints=kept)
    unbroken, history = run(task, make())
    return (state, rest.loss), (unbroken, history.loss[7:])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:. batches of data had fewer rows")
def test_a_loader_without_a_state_is_read_again(task, tmp_path):
    assert_same(*resumed(task, lambda: Loader(task), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["dataset", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("iterator", "loader"))],
)
def test_loaders_of_grain_go_on_by_their_state(task, kind, tmp_path, caplog):
    assert_same(*resumed(task, loaders(task)[kind], tmp_path))
    # Another source to grain, which tells them by their addresses: it is read again.
    assert ("set_state of data refuses" in caplog.text) == (kind == "loader")


def test_other_data_and_what_can_be_read_only_once_are_refused(task, batches, tmp_path):
    kept = ja.Checkpoints(tmp_path)
    with pytest.raises(ValueError, match=r"data must be read again .* found a generator"):
        run(task, (pair for pair in batches), checkpoints=kept)
    run(task, batches, checkpoints=kept)
    with pytest.raises(ValueError, match="found another first batch"):
        run(task, batches[1:], checkpoints=kept, steps=21)


def test_no_more_than_two_chunks_are_read_ahead_and_no_thread_is_left(task, batches):
    """Also where it is interrupted."""
    delivered = []

    def counted():
        for number, pair in enumerate(batches):
            assert number < 7 * (len(delivered) + 2) or number == 20
            if number == 18:
                raise KeyboardInterrupt
            yield pair

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(task, counted(), callback=delivered.append)
    assert threading.active_count() <= threads
    assert [part.step[-1] for part in delivered] == [6, 13]


def test_blocks_fit_in_their_bytes():
    for every in (1, 2, 7, 60, 101):
        for most in (1, 3, 8, 60, 1000):
            plan = schedule(500, every, 64, most)
            assert plan.length <= most
            assert plan.length % every == 0 or every % plan.length == 0


@pytest.mark.slow
def test_a_measurement_less_often_than_a_chunk_fits(task, batches):
    """Chunks of three batches where every tenth step is measured."""
    settings = {"monitor": task.monitor(task.model(), measures=MEAN), "every": 10}
    bytes_of_three = 3 * 16 * (6 + 1) * 4
    parts = []
    found = run(task, batches, chunk_bytes=bytes_of_three, callback=parts.append, **settings)
    assert {len(part.step) for part in parts} == {1, 2}
    expected = task.fit(task.model(), **settings)
    assert list(found[1].measured) == [0, 10, 20]
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), found, expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("devices", [None, 4])
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_models_and_devices_share_a_stream(task, batches, several, devices):
    """Monitors of both kinds."""
    model = [task.model(seed) for seed in range(4)] if several else task.model()
    first = task.model()
    of_batch = ja.batch_monitor(
        ja.tap(first, "hidden_*"),
        lambda labels: ja.encode_targets(labels, classes=(0, 1)),
        num_samples=16,
        measures=MEAN,
    )
    settings = {"monitor": {"set": task.monitor(first, measures=MEAN), "batch": of_batch}}
    settings |= SETTINGS
    mesh = None if devices is None else jax.make_mesh((devices,), ("data",))
    _, found = ja.fit(model, optax.adam(1e-2), batches, mesh=mesh, **settings)
    _, expected = task.fit(model, **settings)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4), found, expected
    )


def test_labels_that_a_batch_monitor_cannot_encode_are_refused_in_later_batches(task, batches):
    encode = lambda labels: ja.encode_targets(labels, classes=(0, 1))  # noqa: E731
    monitor = ja.batch_monitor(ja.tap(task.model(outputs=3), "hidden_1"), encode, 16, measures=MEAN)
    data = with_change(batches, lambda x, y: (x, y + 1))
    with pytest.raises(ValueError, match=r"in batches 14 \.\.\. 20 of data: .*classes"):
        ja.fit(task.model(outputs=3), optax.sgd(0.1), data, monitor=monitor, **SETTINGS)
