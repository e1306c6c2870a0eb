"""The page of an inspection: one self-contained index.html, for somebody who has not read the
paper.
"""

from collections import OrderedDict
from collections.abc import Iterable
from html import escape
from itertools import pairwise

from matplotlib.figure import Figure

from jaxalign._features import INPUT
from jaxalign.inspection import Inspected, LayerNumbers, numbers
from jaxalign.report.inspection.terminal import shown_shape
from jaxalign.style.html import fill, percent, svg

Rows = OrderedDict[str, LayerNumbers]


def inspected_page(found: Inspected, figure: Figure) -> str:
    """The HTML of an inspection.

    Args:
      found: what its folder holds; of its config "title", "subtitle", "command", "warnings",
        "notes" and "details", a mapping.
      figure: its picture, as ``alignment_by_layer`` draws it.
    """
    inspection, config = found.inspection, found.config
    rows = numbers(inspection, found.thresholds)
    middle = len(found.thresholds) // 2
    tau = found.thresholds[middle]
    n = inspection.samples
    text = {
        "title": f"{config['title']} · jaxalign",
        "heading": config["title"],
        "kicker": config["subtitle"],
        "lede": _lede(rows, middle, tau),
        "dashed": "Dashed: the inputs themselves. " if INPUT in rows else "",
        "verdict": _verdict(rows),
        "samples": f"{n:,.0f}",
        "sigma_limit": f"{n**0.5:.1f}",
        "last_layer": next(reversed(rows)),
        "command": config["command"],
    }
    notes = [
        *config["notes"],
        *(f"{name} is left out: {reason}." for name, reason in inspection.left_out.items()),
    ]
    markup = {
        "warnings": "".join(
            f'<p class="warning">{escape(warning)}</p>' for warning in config["warnings"]
        ),
        "tiles": _tiles(rows, middle, tau, n),
        "table": _table(found, rows, middle),
        "figure": svg(figure),
        "notes": "".join(f"<li>{escape(note)}</li>" for note in notes),
        "details": "".join(
            f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in config["details"].items()
        ),
    }
    return fill("jaxalign.report.inspection", "page.html", text, markup)


def _lede(rows: Rows, middle: int, tau: float) -> str:
    name, last = next(reversed(rows.items()))
    text = f"In the last measured layer, {name}, {percent(last.alignment[middle])} of the targets lie along the strong directions "
    text += f"(σ ≥ {tau:g}); random targets would give {percent(last.chance[middle])}"
    if INPUT not in rows or len(rows) == 1:
        return text + "."
    return text + f", and the inputs themselves have {percent(rows[INPUT].alignment[middle])}."


def _verdict(rows: Rows) -> str:
    layers = [(name, row.area) for name, row in rows.items() if name != INPUT]
    if len(layers) < 2:
        return "Only one layer was measured, so there is no order to judge."
    rises = sum(b > a for (_, a), (_, b) in pairwise(layers))
    if rises == len(layers) - 1:
        return "By area, every layer is more aligned than the one before it: alignment grows towards the output."
    best = max(layers, key=lambda pair: pair[1])
    return f"By area, {rises or 'none'} of {len(layers) - 1} layers are above the one before them; the most aligned is {best[0]}."


def _tiles(rows: Rows, middle: int, tau: float, n: float) -> str:
    name, last = next(reversed(rows.items()))
    best = max((name for name in rows if name != INPUT), key=lambda name: rows[name].area)
    tiles = [
        (percent(last.alignment[middle]), f"of the targets at σ ≥ {tau:g} in {name}"),
        (
            f"{rows[best].area:.2f}",
            f"area under the curve of {best}, over ‖y‖², the largest (at most {n**0.5:.1f})",
        ),
        (
            f"{last.aligned_rank:,}",
            f"directions of {name} hold 90% of what of the targets it spans",
        ),
    ]
    return "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )


def _table(found: Inspected, rows: Rows, middle: int) -> str:
    shares = [f"A({tau:g})" for tau in found.thresholds]
    head = [
        "layer",
        "shape",
        "d",
        "area/‖y‖²",
        *shares,
        f"A({found.thresholds[middle]:g}) by chance",
        "aligned rank",
    ]
    cells = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in _body(found, rows, middle)
    )
    return (
        "<table><tr>"
        + "".join(f"<th>{escape(cell)}</th>" for cell in head)
        + f"</tr>{cells}</table>"
    )


def _body(found: Inspected, rows: Rows, middle: int) -> Iterable[tuple[str, ...]]:
    for name, row in rows.items():
        layer = found.inspection.layers[name]
        shares = (percent(share) for share in (*row.alignment, row.chance[middle]))
        yield (
            name,
            shown_shape(layer.shape),
            f"{layer.width:,}",
            f"{row.area:.2f}",
            *shares,
            f"{row.aligned_rank:,}",
        )
