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
    """Layers that give all samples the same features: of rank 1, as Φ has a column of ones."""
    dead = [name for name, spectrum in inspection.spectra.items() if spectrum.rank <= 1]
    if dead:
        verb = "give" if len(dead) > 1 else "gives"
        yield (
            f"{', '.join(dead)} {verb} all of these samples the same features, in which nothing "
            "can be aligned. The units may be dead, or the inputs are scaled in another way than "
            "the model expects."
        )
