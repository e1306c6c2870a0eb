"""The page of an inspection: one self-contained index.html, for somebody who has not read the
paper.
"""

from collections.abc import Iterator
from itertools import pairwise

from jaxalign.inspection import Inspected, numbers
from jaxalign.report.inspection.figure import alignment_by_layer
from jaxalign.report.inspection.headline import Rows, dead_layers, last_layer, most_aligned
from jaxalign.report.inspection.labels import Predicted, labels_needed, predicted
from jaxalign.report.inspection.terminal import shown_shape
from jaxalign.runs import is_input
from jaxalign.style.html import number, percent, render, unbroken
from jaxalign.style.layout import NARROW
from jaxalign.style.svg import picture


def inspected_page(inspected: Inspected, curves: Predicted | None = None) -> str:
    """The HTML of an inspection.

    Args:
      inspected: what its folder holds; of its config "title", "subtitle", "command", "warnings",
        "notes" and "details", a mapping.
      curves: of its layers' heads, where they were computed before.
    """
    inspection = inspected.inspection
    curves = curves or predicted(inspection)
    config = inspected.config
    rows = numbers(inspection, inspected.thresholds)
    middle = len(inspected.thresholds) // 2
    samples = inspection.num_samples
    left_out = [f"{name} is left out: {why}." for name, why in inspection.left_out.items()]
    return render(
        "jaxalign.report.inspection",
        "page.html",
        title=config["title"],
        kicker=config["subtitle"],
        warnings=[*config["warnings"], *dead_layers(inspection)],
        lede=_lede(rows, inspected.thresholds),
        tiles=list(_tiles(rows, inspected.thresholds, samples)),
        samples=f"{samples:,.0f}",
        sigma_limit=f"{samples**0.5:.1f}",
        headline=most_aligned(rows),
        has_input=any(is_input(name) for name in rows),
        figure=picture(
            alignment_by_layer(inspection),
            alignment_by_layer(inspection, NARROW),
            _seen(rows),
            "layers",
        ),
        labels=picture(
            labels_needed(curves),
            labels_needed(curves, NARROW),
            _seen_of_labels(curves),
            "labels",
        ),
        verdict=_verdict(rows),
        shares=[f"A({tau:g})" for tau in inspected.thresholds],
        middle=f"{inspected.thresholds[middle]:g}",
        rows=[(name, list(_cells(inspected, rows, name))) for name in rows],
        notes=[*config["notes"], *left_out],
        details=list(config["details"].items()),
        command=config["command"],
    )


def _seen(rows: Rows) -> str:
    areas = ", ".join(f"{name} {number(row.area, 2)}" for name, row in rows.items())
    return f"Curves that fall over the threshold, and the areas under them: {areas}."


def _seen_of_labels(curves: Predicted) -> str:
    ends = curves.with_all_samples()
    errors = ", ".join(f"{name} {percent(error)}" for name, error in ends.items())
    return (
        "Curves of the predicted error, which fall with the number of labels. With as many as "
        f"there are samples: {errors}."
    )


def _lede(rows: Rows, thresholds: tuple[float, ...]) -> str:
    """The most aligned layer, and where the last layer and the inputs stand."""
    middle = len(thresholds) // 2
    headline = most_aligned(rows)
    last = last_layer(rows)
    row = rows[headline]
    which = "the last layer measured and by area the most aligned"
    if headline != last:
        which = "by area the most aligned layer"
    text = (
        f"{percent(row.alignment[middle])} of the targets lie along the strong directions "
        f"({unbroken(f'σ ≥ {thresholds[middle]:g}')}) of {headline}, {which}; "
        f"by chance it would be {percent(row.null_alignment[middle])}."
    )
    if headline != last:
        text += f" The last layer, {last}, has {percent(rows[last].alignment[middle])}."
    for name in rows:
        if is_input(name) and name != headline:
            text += f" The inputs themselves have {percent(rows[name].alignment[middle])}."
    return text


def _verdict(rows: Rows) -> str:
    """Whether the area grows from layer to layer."""
    areas = [row.area for name, row in rows.items() if not is_input(name)]
    if len(areas) < 2:
        return "Only one layer was measured, so there is no order to judge."
    rises = sum(b > a for a, b in pairwise(areas))
    if rises == len(areas) - 1:
        return (
            "By area, every layer is more aligned than the one before it: "
            "alignment grows towards the output."
        )
    return (
        f"By area, {rises or 'none'} of {len(areas) - 1} layers are above the one before them; "
        f"the most aligned is {most_aligned(rows)}."
    )


def _tiles(rows: Rows, thresholds: tuple[float, ...], samples: float) -> Iterator[tuple[str, str]]:
    middle = len(thresholds) // 2
    name = most_aligned(rows)
    row = rows[name]
    share = percent(row.alignment[middle])
    strong = unbroken(f"σ ≥ {thresholds[middle]:g}")
    yield share, f"of the targets at {strong} in {name}, the most aligned layer"
    limit = f"{samples**0.5:.1f}"
    yield number(row.area, 2), f"area under the curve of {name}, over ‖y‖² (at most {limit})"
    rank = f"directions of {name} hold 90% of what it spans of the targets"
    yield f"{row.aligned_rank:,}", rank


def _cells(inspected: Inspected, rows: Rows, name: str) -> Iterator[str]:
    layer = inspected.inspection.layers[name]
    row = rows[name]
    middle = len(inspected.thresholds) // 2
    yield shown_shape(layer.shape)
    yield f"{layer.width:,}"
    yield number(row.area, 2)
    yield from map(percent, row.alignment)
    yield percent(row.null_alignment[middle])
    yield f"{row.aligned_rank:,}"
