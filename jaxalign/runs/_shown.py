"""A history as a table: each number of each layer, at the first measured step and at the last."""

from typing import Any

import numpy as np

from jaxalign._core.tables import titled_table
from jaxalign.runs._history import History


def as_table(history: History) -> Any:
    """A rich table; of several models the medians."""
    logged = dict.fromkeys(
        name
        for measures in history.layers.values()
        for name, values in measures.items()
        if values.ndim == history.loss.ndim
    )
    title = f"{len(history.step):,} steps, {len(history.measured):,} measured"
    if history.models is not None:
        title += f", medians of {history.models} models"
    if len(history.step):
        title += f", loss {_ends(history.loss)}"
    rows = [
        (layer, *(_ends(measures[name]) if name in measures else "" for name in logged))
        for layer, measures in history.layers.items()
    ]
    return titled_table(title, ("layer", *logged), rows)


def _ends(values: np.ndarray) -> str:
    """The first row and the last."""
    if not len(values):
        return ""
    first, last = (float(np.median(values[place].astype(float))) for place in (0, -1))
    return f"{first:.4g} → {last:.4g}"
