"""Which layer of an inspection to speak of first."""

from collections import OrderedDict

from jaxalign.inspection import LayerNumbers
from jaxalign.runs import is_input

Rows = OrderedDict[str, LayerNumbers]


def most_aligned(rows: Rows) -> str:
    """The layer with the largest area; the inputs count where there is nothing else."""
    names = [name for name in rows if not is_input(name)] or list(rows)
    return max(names, key=lambda name: rows[name].area)


def last_layer(rows: Rows) -> str:
    """The measured layer nearest to the output."""
    return next(reversed(rows))
