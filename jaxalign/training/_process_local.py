"""Streams of which each process reads rows of its own: data larger than one host."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxalign._core.kinds import found
from jaxalign.training._batches import is_stream
from jaxalign.training._processes import Processes, listed

OWN_ROWS = "processes with rows of their own"
"""The name of their number in what a checkpoint knows of its run."""


@dataclass(frozen=True)
class ProcessLocal:
    """Batches of which each process reads its own rows: data of ``fit`` over several processes.

    A batch of the run is made of one batch from each process, by the rule of
    ``jax.make_array_from_process_local_data``: each device takes its rows from its own process. On
    the usual mesh these are the batches one behind the other, in the order of the processes. So
    ``batch_size`` is the sum over the processes, and losses, logs and monitors are those of one
    process that reads the whole batches. In a single process this is the stream itself.

    The batches of all processes have as many rows, the same shapes and the same dtypes. What goes
    wrong in one process ends the run in all of them. A checkpoint holds where the stream stood in
    each process, so a run goes on with as many processes as saved it. Processes whose devices hold
    the same rows, as those that share a model which is split over them, read the same.

    Args:
      batches: an iterable of batches, pairs or dicts, as grain's loaders give them.

    Raises:
      TypeError: no iterable of batches, as arrays.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import MLP
      >>> process, processes = jax.process_index(), jax.process_count()
      >>> x = np.random.default_rng(0).standard_normal((80, 6)).astype(np.float32)
      >>> own = x[process::processes]  # what this host has on disk
      >>> batches = [(part, (part[:, 0] > 0).astype(int)) for part in np.split(own, 5)]
      >>> mesh = jax.make_mesh((jax.device_count(),), ("data",))
      >>> model, data = MLP(6, (8,), 1, rngs=nnx.Rngs(0)), ja.training.ProcessLocal(batches)
      >>> ja.fit(model, optax.sgd(0.1), data, steps=5, mesh=mesh)[1].loss.shape
      (6,)

    Source: ours.
    """

    batches: Iterable[Any]

    def __post_init__(self) -> None:
        if not is_stream(self.batches) or not hasattr(self.batches, "__iter__"):
            raise TypeError(
                "batches of ProcessLocal must be an iterable of batches, as a grain loader gives, "
                f"found {found(self.batches)}; cut arrays in memory into batches, as [(x[:64], "
                "y[:64]), ...]"
            )


def parts_of_a_batch(processes: Processes) -> int:
    """Of how many parts a batch is made, if each process reads the rows that its devices hold.

    Raises:
      ValueError: all processes hold all rows, or rows that others hold in part.
    """
    different = set(processes.rows)
    held = [part for rows in different for part in rows]
    is_split = len(different) > 1 or not processes.together
    if is_split and len(held) == len(different) * len(processes.rows[0]) == len({*held}):
        return len(different)
    raise ValueError(
        "data by ProcessLocal need a mesh whose data axis goes over the processes, so that each "
        "has rows of its own; found devices that hold, of the parts of a batch, "
        f"{listed([', '.join(map(str, sorted(rows))) for rows in processes.rows])}; pass the "
        "loader itself, which every process then reads whole, or another mesh, as "
        "jax.make_mesh((jax.device_count(),), ('data',))"
    )


def note_of(dropped: Sequence[int], following: int | None) -> str:
    """What other processes have to know of the batches of a chunk that a process read.

    Args:
      dropped: the numbers of those with fewer rows.
      following: the number of the one after the last step, None if there is none.
    """
    return json.dumps([dropped, following]) if dropped or following else ""


def have_one_next(notes: list[str]) -> bool:
    """Whether the same batch comes next in all processes.

    Raises:
      ValueError: other batches have fewer rows in one process than in another.
    """
    everywhere = [json.loads(note) if note else ([], None) for note in notes]
    short = [f"the short batches {dropped}" for dropped, _ in everywhere]
    if len({*short}) > 1:
        raise ValueError(
            "batches of data must have as many rows in all processes, found "
            f"{listed(short)}; let the loaders drop the remainder (drop_remainder=True)"
        )
    return len({following for _, following in everywhere}) == 1
