"""Several processes that train a run together: whole batches in each, or rows of its own. Most of
it is tried on threads, which exchange their notes as processes do.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxalign.capture._networks import split_model
from jaxalign.training import ProcessLocal, _processes, classification
from jaxalign.training._agreement import agreed_source
from jaxalign.training._batches import Reading
from jaxalign.training._data import Answers, checked_source
from jaxalign.training._process_local import parts_of_a_batch
from jaxalign.training._processes import ALONE, Processes, in_step, processes_of
from jaxalign.training._saver import own_position
from jaxalign.training._schedule import schedule


class Together:
    """Threads as processes, each with a device for its own rows.

    Args:
      number: of them.
    """

    def __init__(self, number, rows=None):
        self.number = number
        self.rows = rows or tuple(frozenset({i}) for i in range(number))
        self._barrier = threading.Barrier(number, timeout=20)
        self._texts = [""] * number
        self._own = threading.local()

    def gathered(self, text):
        self._texts[self._own.number] = text
        self._barrier.wait()
        texts = list(self._texts)
        self._barrier.wait()
        return texts

    def run(self, function):
        """What the function of ``Processes`` gives in each, or its error."""

        def each(number):
            self._own.number = number
            try:
                return function(Processes(number, self.rows))
            except (ValueError, TypeError, OSError) as error:
                return error

        with ThreadPoolExecutor(self.number) as pool:
            return list(pool.map(each, range(self.number)))


@pytest.fixture
def together(monkeypatch):
    def build(*arguments):
        threads = Together(*arguments)
        monkeypatch.setattr(_processes, "gathered", threads.gathered)
        monkeypatch.setattr(jax, "process_count", lambda: threads.number)
        return threads

    return build


@pytest.fixture(scope="module")
def network(task):
    return split_model(task.model(), None)


def cut(task, number=24, short=()):
    """Batches of 12 rows, with some of 6 rows put in."""
    rng = np.random.default_rng(0)
    picked = [rng.integers(0, len(task.inputs), 12) for _ in range(number)]
    for i in short:
        picked.insert(i, picked[0][:6])
    return [(task.inputs[rows], task.labels[rows]) for rows in picked]


def part(batches, processes):
    """The rows of one process."""
    number = len(processes.rows)
    return [tuple(np.split(x, number)[processes.number] for x in pair) for pair in batches]


def blocks_of(network, data, processes):
    """The samples of all blocks of a run."""

    def make():
        reading = Reading(("image", "label"), 10**6, False, processes)
        return checked_source(data, None, None, [0], reading)

    source = agreed_source(make, processes)
    with in_step(processes.together):
        source = source.checked(Answers(classification, network, source.batch_inputs, {}))
        assert source.batch_labels.shape == source.batch_inputs.shape[:1] == (source.batch_size,)
    return [block.samples for block in source.blocks(schedule(20, 1, 7), 0, None)]


STREAMS = {
    "more than the steps": {},
    "exactly the steps": {"number": 20},
    "short ones between": {"short": (4, 9)},
    "a short one at the end": {"number": 20, "short": (20,)},
}


@pytest.mark.filterwarnings("ignore:. batches of data had fewer rows")
@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_rows_of_all_processes_are_the_whole_batches(task, network, together, number, kind):
    batches = cut(task, **STREAMS[kind])
    expected = blocks_of(network, batches, ALONE)
    everywhere = together(number).run(
        lambda processes: blocks_of(network, ProcessLocal(part(batches, processes)), processes)
    )
    for whole, *parts in zip(expected, *everywhere, strict=True):
        found = [np.concatenate(x, axis=2) for x in zip(*parts, strict=True)]
        jax.tree.map(np.testing.assert_array_equal, found, list(whole))


def test_a_batch_after_the_last_step_counts_if_all_processes_have_it(task, network, together):
    """The last row has its loss on it."""
    expected = blocks_of(network, cut(task, 20), ALONE)[-1][0]

    def read(processes):
        own = part(cut(task, 20 + processes.number), processes)
        return blocks_of(network, ProcessLocal(own), processes)[-1][0]

    np.testing.assert_array_equal(np.concatenate(together(2).run(read), axis=2), expected)


def failing(batches):
    yield from batches
    raise OSError("disk on fire")


def with_other(batches, i, change):
    return [*batches[:i], change(*batches[i]), *batches[i + 1 :]]


FAULTS = {
    "process 1: data ended after 16 batches of 12 rows": lambda b: b[:16],
    "process 1: OSError: disk on fire": lambda b: failing(b[:16]),
    r"process 1: batch 9 of data: inputs must be float32 of shape \(4, 6\)": lambda b: with_other(
        b, 9, lambda x, y: (x[:, :5], y)
    ),
    "process 1: batch 0 of data: batches must be pairs": lambda b: with_other(
        b, 0, lambda x, y: (x, y, y)
    ),
    "process 1: batch 0 of data: labels must be 0 or 1": lambda b: with_other(
        b, 0, lambda x, y: (x, y + 1)
    ),
    r"process 1: in batches 7 \.\.\. 13 of data: inputs must be finite": lambda b: with_other(
        b, 9, lambda x, y: (x * np.inf, y)
    ),
    "process 1: data must hold at least one batch": lambda b: [],
    r"the short batches \[\] in process 0, 2 and the short batches \[5\] in process 1": (
        lambda b: with_other(b, 5, lambda x, y: (x[:3], y[:3]))
    ),
    r"rows of a batch in all .* \(4, 6\), labels int32 \(4,\) in process 0, 2 and .* \(3, 6\)": (
        lambda b: [(x[:3], y[:3]) for x, y in b]
    ),
    "found .* inputs float32 .* in process 0, 2 and .* inputs int64 .* in process 1": lambda b: [
        (x.astype(int), y) for x, y in b
    ],
}


@pytest.mark.filterwarnings("ignore:invalid value|. batches of data had fewer rows")
@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_in_one_process_is_an_error_in_all(task, network, together, message):
    def read(processes):
        own = part(cut(task), processes)
        data = FAULTS[message](own) if processes.number == 1 else own
        return blocks_of(network, ProcessLocal(data), processes)

    first, of_fault, third = together(3).run(read)
    assert str(first) == str(third)
    with pytest.raises(ValueError, match=message):
        raise first
    assert str(of_fault) == str(first).removeprefix("process 1: ").removeprefix("OSError: ")


WRAPPED = {
    "pass training.ProcessLocal": (list, list),
    "found whole batches of inputs": (list, ProcessLocal),
    "of a batch, 0, 1 in process 0, 1; pass the loader itself": (ProcessLocal, ProcessLocal),
}


@pytest.mark.parametrize("message", WRAPPED)
def test_what_each_process_has_to_read_is_told(task, network, together, message):
    # Where both hold all rows, none has rows of its own.
    rows = (frozenset({0, 1}),) * 2 if "pass the loader" in message else None

    def read(processes):
        wrap = WRAPPED[message][processes.number]
        return blocks_of(network, wrap(part(cut(task), processes)), processes)

    for error in together(2, rows).run(read):
        with pytest.raises(ValueError, match=message):
            raise error


def test_processes_of_the_same_rows_have_to_read_the_same(task, network, together):
    rows = (frozenset({0}), frozenset({0}), frozenset({1}), frozenset({1}))
    halves = [part(cut(task), Processes(i, rows[1:3])) for i in range(2)]

    def read(order):
        return lambda own: blocks_of(network, ProcessLocal(halves[order[own.number]]), own)

    first, again, second, _ = together(4, rows).run(read((0, 0, 1, 1)))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert first[0][0].shape == second[0][0].shape == (7, 1, 6, 6)
    for error in together(4, rows).run(read((0, 1, 0, 1))):
        with pytest.raises(ValueError, match="process 0 and process 1 have devices of the same"):
            raise error


def test_no_stream_has_rows_of_its_own(task):
    for data in (task.inputs, (task.inputs, task.labels), {"image": task.inputs}, "ab", 3):
        with pytest.raises(TypeError, match=r"must be an iterable of batches, .* found"):
            ProcessLocal(data)


MESHES = {
    "one axis": ([0, 0, 1, 1], ("data",), "data", 2),
    "another order": ([1, 0, 1, 0], ("data",), "data", 2),
    "models over the devices of a process": ([[0, 0], [1, 1]], ("data", "model"), "data", 2),
    "models over processes": ([[0, 1], [2, 3]], ("data", "model"), "data", 2),
    "models first": ([[0, 1], [0, 1]], ("model", "data"), "data", 2),
    "two axes": ([[0, 1], [2, 3]], ("replica", "data"), ("replica", "data"), 4),
    "rows within a process": ([[0, 0], [1, 1]], ("model", "data"), "data", None),
    "rows of several": ([[0, 1], [1, 0]], ("data", "model"), "data", None),
    "rows in part of others": ([[0, 0], [0, 1], [1, 1]], ("data", "model"), "data", None),
    "not as many": ([0, 0, 0, 1], ("data",), "data", None),
    "no axis": ([0, 1], ("data",), (), None),
}


@pytest.mark.parametrize("kind", MESHES)
def test_a_batch_has_a_part_for_each_process_along_its_rows(monkeypatch, kind):
    owners, names, axes, parts = MESHES[kind]
    devices = np.vectorize(lambda i: SimpleNamespace(process_index=i), otypes=[object])(owners)
    mesh = SimpleNamespace(devices=devices, axis_names=names)
    monkeypatch.setattr(jax, "process_count", lambda: len(np.unique(owners)))
    found = processes_of(mesh, (axes,) if isinstance(axes, str) else axes)
    if parts is not None:
        assert parts_of_a_batch(found) == parts
        return
    with pytest.raises(ValueError, match="need a mesh whose data axis goes over the processes"):
        parts_of_a_batch(found)


def test_a_mesh_of_some_processes_and_none_of_all_are_refused(task, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    devices = [SimpleNamespace(process_index=i) for i in (0, 2)]
    mesh = SimpleNamespace(devices=np.array(devices), axis_names=("data",))
    with pytest.raises(ValueError, match="of all 3, found those of process 0, 2"):
        processes_of(mesh, ("data",))
    reading = Reading(("image", "label"), 10**6, False, ALONE)
    with pytest.raises(ValueError, match="need a mesh of the devices of all 3 processes"):
        checked_source(ProcessLocal(cut(task)), None, None, [0], reading)


def test_an_error_of_one_process_is_raised_in_all(together):
    def step(own):
        with in_step(True) as notes:
            notes.own = "é" * own.number
            if own.number == 1:
                raise OSError("disk is full")

    assert [str(error) for error in together(3).run(step)] == [
        "process 1: OSError: disk is full",
        "disk is full",
        "process 1: OSError: disk is full",
    ]


@pytest.mark.parametrize(("processes", "expected"), [(2, 1), (1, 0), (3, 1)])
def test_a_run_goes_on_where_the_stream_of_its_process_stood(processes, expected):
    """A process that was not there reads what all read."""
    own = Processes(processes - 1, (frozenset({0}),) * processes)
    assert own_position({"processes": [0, 1]}, own) == expected
    assert own_position({"batches": 7}, own) == {"batches": 7}


@pytest.mark.slow
def test_rows_of_each_process_train_as_whole_batches_do(joined_processes, tmp_path):
    for status, output in joined_processes(Path(__file__).with_name("process.py"), str(tmp_path)):
        assert status == 0, output[-2000:]
