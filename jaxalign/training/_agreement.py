"""Processes that train one run have to be asked for the same run: each device takes its rows of the
same data.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

from jaxalign.training._check import Models
from jaxalign.training._fingerprint import digest
from jaxalign.training._source import Source
from jaxalign.training._state import Monitors


def asked_for(
    models: Models, source: Source, monitors: Monitors, counts: tuple[int, int, int]
) -> dict[str, Any]:
    """What ``fit`` is asked for, by what a message calls it; counts are steps, every and chunk."""
    return {
        "steps, every, chunk or batch_size": (*counts, source.batch_size),
        "seeds": tuple(models.seeds),
        "models": models.states,
        "hyperparameters": models.hyperparameters,
        "data": source.first_batch or source.arrays,
        "monitored data": monitors,
    }


def require_one_run(asked: Mapping[str, Any]) -> None:
    """Compare with the other processes, which all have to come here.

    Args:
      asked: numbers and arrays, by what a message calls them.

    Raises:
      ValueError: other processes were asked for something else; in all of them.
    """
    digests = [list(bytes.fromhex(digest(what))) for what in asked.values()]
    everywhere = multihost_utils.process_allgather(np.array(digests, np.uint8))
    require_alike(list(asked), np.reshape(everywhere, (-1, *np.shape(digests))))


def require_alike(names: list[str], everywhere: np.ndarray) -> None:
    """Raise for digests of these names, (processes, names, 32), that differ between processes."""
    is_other = (everywhere != everywhere[:1]).any(axis=2)
    differing = [name for name, column in zip(names, is_other.T, strict=True) if column.any()]
    if differing:
        processes = ", ".join(map(str, np.flatnonzero(is_other.any(axis=1))))
        raise ValueError(
            "fit must be called with the same arguments in all processes, found other "
            f"{', '.join(differing)} in process {processes} than in process 0; load the same data "
            "and make the same model everywhere: each device takes its own rows of every batch"
        )
