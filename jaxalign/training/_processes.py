"""The processes of a run tell each other what they found, so that all go on or all stop."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

LONGEST = 4000
"""So many characters of an error are told to other processes."""
FAILED = "\0"
"""What the note of a process begins with where it failed."""


class Processes(NamedTuple):
    """The processes of a run.

    Attributes:
      number: of this one.
      rows: for each process the parts of a batch that its devices hold.
    """

    number: int
    rows: tuple[frozenset[int], ...]

    @property
    def together(self) -> bool:
        """Whether there are several."""
        return len(self.rows) > 1


ALONE = Processes(0, (frozenset({0}),))


def processes_of(mesh: Mesh, axes: Sequence[str]) -> Processes:
    """The processes whose devices a mesh has.

    Args:
      mesh: of any axes.
      axes: over which the rows of a batch are split, the first one slowest.

    Raises:
      ValueError: some of the processes have no device in it.
    """
    split = [mesh.axis_names.index(name) for name in axes]
    devices = np.moveaxis(mesh.devices, split, range(len(split)))
    parts = math.prod(devices.shape[: len(split)])
    owners = np.reshape([device.process_index for device in devices.flat], (parts, -1))
    members = np.unique(owners)
    if len(members) == 1:
        return ALONE
    if len(members) < jax.process_count():
        raise ValueError(
            f"mesh must hold devices of one process or of all {jax.process_count()}, found those "
            f"of process {', '.join(map(str, members))}; pass jax.make_mesh((jax.device_count(),), "
            "('data',))"
        )
    rows = (frozenset(np.flatnonzero((owners == each).any(axis=1)).tolist()) for each in members)
    return Processes(jax.process_index(), tuple(rows))


class Notes:
    """What the processes tell each other at one point of a run.

    Attributes:
      own: the text of this process.
      everywhere: behind that point the texts of all processes, in their order.
    """

    def __init__(self) -> None:
        self.own = ""
        self.everywhere: list[str] = []


@contextmanager
def in_step(together: bool) -> Iterator[Notes]:
    """What is done in here, all processes do: if it fails in one of them, it raises in all.

    Args:
      together: whether there are several processes, which all have to come here.

    Raises:
      ValueError: another process failed; the message is that of its error.
    """
    notes = Notes()
    failure = None
    try:
        yield notes
    # A user's loader or callback may raise anything.
    except Exception as error:
        if not together:
            raise
        failure = error
    notes.everywhere = [notes.own]
    if not together:
        return
    if failure is not None:
        notes.own = f"{FAILED}{_message(failure)}"
    notes.everywhere = gathered(notes.own)
    if failure is not None:
        raise failure
    for process, note in enumerate(notes.everywhere):
        if note.startswith(FAILED):
            raise ValueError(f"process {process}: {note.removeprefix(FAILED)}")


def _message(error: Exception) -> str:
    name = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
    return f"{name}{error}"[:LONGEST]


def gathered(text: str) -> list[str]:
    """The texts of all processes, in their order; all of them have to come here."""
    content = np.frombuffer(text.encode(errors="backslashreplace"), np.uint8)
    sizes = np.ravel(multihost_utils.process_allgather(np.int32(len(content))))
    if not sizes.any():
        return [""] * len(sizes)
    # A power of two, as each size is a program of its own.
    padded = np.zeros(1 << int(sizes.max() - 1).bit_length(), np.uint8)
    padded[: len(content)] = content
    everywhere = multihost_utils.process_allgather(padded).reshape(len(sizes), -1)
    return [row[:size].tobytes().decode() for row, size in zip(everywhere, sizes, strict=True)]


def listed(notes: Sequence[str]) -> str:
    """Which notes there are, and in which processes."""
    processes: dict[str, list[int]] = {note: [] for note in notes}
    for process, note in enumerate(notes):
        processes[note].append(process)
    return " and ".join(
        f"{note} in process {', '.join(map(str, numbers))}" for note, numbers in processes.items()
    )
