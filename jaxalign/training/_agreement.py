"""Processes that train one run have to be asked for the same run, and to read batches that fit
together.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxalign._core.digests import digest
from jaxalign.training._check import Models
from jaxalign.training._processes import Processes, in_step, listed
from jaxalign.training._source import Source
from jaxalign.training._state import Monitors


def agreed_source(make: Callable[[], Source], processes: Processes) -> Source:
    """The Source that this process makes, held against those of the others.

    Raises:
      ValueError: sources that differ; in all processes.
    """
    with in_step(processes.together) as notes:
        source = make()
        if processes.together:
            values = digest(source.first_batch or source.arrays)
            notes.own = json.dumps([source.description, values])
    if processes.together:
        descriptions, digests = zip(*map(json.loads, notes.everywhere), strict=True)
        require_same_shapes(descriptions)
        require_same_rows(digests, processes.rows if source.parts > 1 else None)
    return source


def require_same_shapes(descriptions: Sequence[str]) -> None:
    """Raise for what processes read, in words, that differs."""
    if len({*descriptions}) > 1:
        raise ValueError(
            "data must have the same shapes, dtypes and rows of a batch in all processes, found "
            f"{listed(descriptions)}"
        )


def require_same_rows(digests: Sequence[str], rows: Sequence[frozenset[int]] | None = None) -> None:
    """Raise for values that differ where they have to be the same.

    Args:
      digests: of what each process reads.
      rows: which parts of a batch each process needs; None where each needs all of it.
    """
    for process, own in enumerate(digests):
        other = 0 if rows is None else rows.index(rows[process])
        if own == digests[other]:
            continue
        found = f"found other values in process {process} than in process {other}"
        if rows is None:
            raise ValueError(
                f"data must be the same in all processes, {found}; load the same everywhere: each "
                "device takes its rows of every batch. Where each process reads rows of its own, "
                "pass training.ProcessLocal(data)"
            )
        raise ValueError(
            f"process {other} and process {process} have devices of the same rows of a batch, and "
            f"must read the same, {found}; give their loaders one share, of {len({*rows})} in all"
        )


def asked_for(models: Models, monitors: Monitors, settings: Mapping[str, Any]) -> str:
    """What ``fit`` is asked for beside its data, in a note for the other processes.

    Args:
      models: to train.
      monitors: by name.
      settings: numbers and names.
    """
    asked = {
        "seeds": tuple(models.seeds),
        "models": models.states,
        "hyperparameters": models.hyperparameters,
        "monitored data": monitors,
    }
    digests = {name: digest(what) for name, what in asked.items()}
    return json.dumps({name: repr(value) for name, value in settings.items()} | digests)


def require_one_run(notes: Sequence[str]) -> None:
    """Raise for processes that are asked for other runs, as ``asked_for`` says."""
    everywhere: list[Mapping[str, str]] = [json.loads(note) for note in notes if note]
    differing = [
        [name for name, value in asked.items() if value != everywhere[0][name]]
        for asked in everywhere
    ]
    if any(differing):
        names = dict.fromkeys(name for each in differing for name in each)
        processes = ", ".join(str(process) for process, each in enumerate(differing) if each)
        raise ValueError(
            "fit must be called with the same arguments in all processes, found other "
            f"{', '.join(names)} in process {processes} than in process 0; make the same model "
            "everywhere, and load the same data to measure on"
        )
