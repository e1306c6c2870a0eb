"""Which layer of an inspection to speak of first."""

from collections import OrderedDict
from collections.abc import Iterator

from jaxalign.inspection import Inspection, LayerNumbers
from jaxalign.runs import is_input

Rows = OrderedDict[str, LayerNumbers]


def most_aligned(rows: Rows) -> str:
    """The layer with the largest area; the inputs count where there is nothing else."""
    names = [name for name in rows if not is_input(name)] or list(rows)
    return max(names, key=lambda name: rows[name].area)


def last_layer(rows: Rows) -> str:
    """The measured layer nearest to the output."""
    return next(reversed(rows))


def dead_layers(inspection: Inspection) -> Iterator[str]:
    """Layers that answer all samples alike. A column of ones is part of Φ, so their rank is 1."""
    dead = [name for name, spectrum in inspection.spectra.items() if spectrum.rank <= 1]
    if dead:
        verb = "answer" if len(dead) > 1 else "answers"
        yield (
            f"On these samples {', '.join(dead)} {verb} every sample alike: nothing is "
            "there to be aligned. The weights may be dead, or the inputs scaled in another way "
            "than the model expects."
        )
