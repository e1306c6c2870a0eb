"""One of two processes that train a run together, started by test_processes.py: each reads its own
rows of every batch, and one of them fails in the middle.
"""

import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import jax
import numpy as np
import optax
from flax import nnx

import jaxalign as ja
from jaxalign.models import MLP
from jaxalign.monitoring import of_features
from jaxalign.training import ProcessLocal

RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((22, 16, 6)).astype(np.float32)
LABELS = (INPUTS[..., 0] * INPUTS[..., 1] > 0).astype(np.int32)
WHOLE = list(zip(INPUTS, LABELS, strict=True))


class Rows:
    """A loader of the rows of one process: its iterators have a state of their own.

    Args:
      process: whose rows.
      end: where the disk is on fire.
    """

    def __init__(self, process, end=None):
        self.process = process
        self.end = end
        self.next = 0

    def __iter__(self):
        return type(self)(self.process, self.end).reading()

    def reading(self):
        return _Reading(self)


class _Reading:
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return self

    def __next__(self):
        if self.rows.next == len(WHOLE):
            raise StopIteration
        if self.rows.next == self.rows.end:
            raise OSError("disk on fire")
        half = slice(8 * self.rows.process, 8 * self.rows.process + 8)
        self.rows.next += 1
        return tuple(x[half] for x in WHOLE[self.rows.next - 1])

    def get_state(self):
        return {"next": self.rows.next, "process": self.rows.process}

    def set_state(self, state):
        assert state["process"] == self.rows.process
        self.rows.next = state["next"]


def monitors():
    layers = ja.tap(model(), "hidden_*")
    mean = {"mean": of_features(lambda x: x.mean())}

    def encode(labels):
        return ja.encode_targets(labels, classes=(0, 1))

    return {
        "set": ja.monitor(layers, INPUTS[0], encode(LABELS[0]), measures=mean),
        "batch": ja.batch_monitor(layers, encode, 16, measures=mean),
    }


def model(seed=0):
    return MLP(6, (8,), 1, rngs=nnx.Rngs(seed))


def fit(data, models=None, **settings):
    settings = {"steps": 20, "chunk": 7} | settings
    return ja.fit(model() if models is None else models, optax.adam(1e-2), data, **settings)


def assert_agree(found, expected, tolerance=0.0):
    for arrays in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        x, y = (
            np.asarray(x.addressable_data(0)) if isinstance(x, jax.Array) else x for x in arrays
        )
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def logged(history, begin=0, end=None):
    return jax.tree.map(lambda x: x[begin:end], (history.loss, history.layers))


def error_of(data, **settings):
    try:
        fit(data, **settings)
    except (ValueError, TypeError, OSError) as error:
        return str(error)
    raise AssertionError("no error")


def main(address: str, processes: int, process: int, folder: str) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(
        address, processes, process, initialization_timeout=60, heartbeat_timeout_seconds=10
    )
    mesh = jax.make_mesh((4,), ("data",))
    settings = {"mesh": mesh, "monitor": monitors()}

    # Where all processes read whole batches, the same rows are on the same devices: bit for bit.
    whole, rows = fit(WHOLE, **settings)
    kept = ja.Checkpoints(folder)
    parts = []
    broken = ProcessLocal(Rows(process, end=16 if process else None))
    callback = None if process else parts.append
    message = error_of(broken, checkpoints=kept, callback=callback, **settings)
    assert message == ("disk on fire" if process else "process 1: OSError: disk on fire")
    assert kept.steps() == [14]
    assert len(parts) == (0 if process else 2)
    found, rest = fit(ProcessLocal(Rows(process)), checkpoints=kept, **settings)
    assert_agree(found, whole)
    assert_agree(logged(rest), logged(rows, 14))
    for i, part in enumerate(parts):
        assert_agree(logged(part), logged(rows, 7 * i, 7 * i + 7))

    # One device, and several models over the mesh.
    alone = fit(WHOLE, monitor=settings["monitor"])[1]
    assert_agree(logged(rows), logged(alone), 1e-5)
    seeds = [model(seed) for seed in range(4)]
    several = fit(ProcessLocal(Rows(process)), seeds, mesh=mesh)[1]
    assert_agree(several.loss[:, 0], rows.loss, 1e-5)

    # What is not such a run is said in both.
    own = [next(iter(Rows(process)))]
    split = jax.NamedSharding(mesh, jax.P("data"))
    placed = [[jax.make_array_from_process_local_data(split, x) for x in own[0]]]
    other = "processes with rows of their own 2, now 1"
    assert other in error_of(WHOLE, checkpoints=kept, **settings)
    assert "pass training.ProcessLocal(data)" in error_of(own, mesh=mesh)
    assert "found other chunk_bytes in process 1" in error_of(
        WHOLE, mesh=mesh, chunk_bytes=10**6 + process
    )
    assert "need a mesh of the devices of all 2" in error_of(ProcessLocal(own))
    assert "split over processes" in error_of(ProcessLocal(placed), mesh=mesh)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
