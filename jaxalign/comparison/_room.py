"""What a comparison takes: the rows of all layers, or sums that do not grow with the rows."""

from jaxalign._core.memory import readable
from jaxalign.comparison._alignment import AlignmentSums
from jaxalign.comparison._layers import LayerSource
from jaxalign.similarity import GridMoments

_BYTES_OF_ROWS = 20
"""Of each number of a layer in memory: float32, and float64 twice while layers are compared."""


def are_rows_kept(
    sides: tuple[LayerSource, LayerSource],
    num_targets: int,
    memory_limit: float,
    *,
    sums_would_do: bool,
) -> bool:
    """Whether the rows of all layers are held in memory: what takes less of it, where sums would
    do.

    Raises:
      ValueError: that takes more than the limit.
    """
    widths = [{name: each.width for name, each in side.shapes.items()} for side in sides]
    columns = [width for side in widths for width in side.values()]
    rows = _BYTES_OF_ROWS * sides[0].num_samples * sum(columns)
    sums = GridMoments.memory(*widths)
    if num_targets:
        sums += AlignmentSums.memory(columns, num_targets)
    needed = min(rows, sums) if sums_would_do else rows
    if needed > memory_limit:
        raise ValueError(_too_large(sides, needed, memory_limit))
    return rows <= sums or not sums_would_do


def _too_large(sides: tuple[LayerSource, LayerSource], needed: int, limit: float) -> str:
    n = sides[0].num_samples
    named = zip(("first", "second"), sides, strict=True)
    side, name, widest = max(
        ((side, name, each) for side, source in named for name, each in source.shapes.items()),
        key=lambda found: found[2].width,
    )
    shape = "×".join(map(str, widest.shape))
    counts = " with ".join(str(len(source.shapes)) for source in sides)
    message = (
        f"comparing {counts} layers on {n:,} rows would take {readable(needed)}, over the limit of "
        f"{readable(limit)}; the widest is {name} of the {side} ({shape}, {widest.width:,} "
        f"columns): its rows alone are {4 * n * widest.width / 1e9:.2g} GB. Choose "
    )
    if len(widest.shape) > 1 and widest.width > widest.shape[-1]:
        message += f"reduce mean for {widest.shape[-1]:,} columns, or "
    return message + "fewer layers, or fewer rows, or a larger limit"
