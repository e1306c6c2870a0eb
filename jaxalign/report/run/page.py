"""The run's page: one self-contained index.html that tells what happened to somebody who has not
read the paper.
"""

import json
from collections.abc import Iterable, Mapping
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxalign._features import INPUT
from jaxalign.report.run.figures import layer_colours
from jaxalign.report.run.summary import (
    LayerSummary,
    diverged,
    last_layer,
    middle_threshold,
    model_layers,
    over_models,
    result_of,
    summarize,
    with_interval,
)
from jaxalign.runs import History
from jaxalign.style.html import fill, percent, svg

FRAMES = 120


def page(
    history: History,
    figures: Mapping[str, Figure],
    config: Mapping[str, Any],
    result: Mapping[str, Any],
) -> str:
    """The HTML of a run.

    Args:
      history: what it logged.
      figures: its pictures, by name, as ``all_figures`` makes them; set into the page as SVG.
      config: its config.json: "title", "subtitle", "command", "monitor" and whatever belongs under
        "The run".
      result: its result.json; empty for a run that goes on or was killed.
    """
    rows, seeds = summarize(history), over_models(history)
    last, tau = rows[-1], history.thresholds[middle_threshold(history)]
    n = config["monitor"]["size"]
    text = {
        "title": f"{config['title']} · jaxalign",
        "heading": config["title"],
        "kicker": config["subtitle"],
        "lede": _lede(last, history, tau, seeds.n),
        "verdict": _verdict(rows),
        "monitor_size": f"{n:,}",
        "sigma_limit": f"{n**0.5:.1f}",
        "last_layer": last_layer(history),
        "alignment_by_step_caption": (
            f"Left: how much of the labels lies along directions with σ ≥ {tau:g}. Right: the area under the whole curve. "
            "Steps are on a logarithmic scale after the tenth, since most happens early."
        ),
        "bands": ""
        if seeds.n == 1
        else " Lines are medians over the seeds, bands their 95 % intervals.",
        "seeds_note": _seeds_note(seeds.n),
        "command": config["command"],
    }
    markup = {
        "warning": _warning(history, seeds.value, result),
        "tiles": _tiles(last, tau, history, result),
        "table": _table(rows, tau),
        "notes": "".join(f"<li>{escape(note)}</li>" for note in config["monitor"]["notes"]),
        "details": "".join(
            f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>"
            for k, v in _details(config, history, result)
        ),
        "frames": _frames(history, seeds.value),
        **{name: svg(figure) for name, figure in figures.items()},
    }
    return fill("jaxalign.report.run", "page.html", text, markup)


def _lede(last: LayerSummary, history: History, tau: float, seeds: int) -> str:
    before, after = last.alignment[0].value, last.alignment[1].value
    begin = (
        f"Before training, {percent(before)} of the labels lay along the strong directions (σ ≥ {tau:g}) of the last "
        f"measured layer, {last.layer}. "
    )
    if np.isnan(after):
        return begin + "Then the run diverged."
    chance = "" if np.isnan(last.chance) else f"; random labels would give {percent(last.chance)}"
    of = "" if seeds == 1 else f" Medians of {seeds} models that differ in their seeds alone."
    return begin + f"After {history.measured[-1]:,} steps it is {percent(after)}{chance}.{of}"


def _seeds_note(n: int) -> str:
    if n == 1:
        return "This is one run with one seed. A claim needs several, and an interval: --seeds 8 trains them as one program."
    widest = (
        f"; of {n}, the interval is their range, with a confidence of {1 - 2 ** (1 - n):.0%}"
        if n < 6
        else ""
    )
    return f"Intervals are those of the median over {n} seeds, from order statistics{widest}. Other data would vary more."


def _verdict(rows: Iterable[LayerSummary]) -> str:
    areas = [(row.layer, row.area[1].value) for row in rows if row.layer != INPUT]
    if any(np.isnan(area) for _, area in areas):
        return "The run diverged, so the trained layers cannot be compared."
    falls = [f"{b} under {a}" for (a, x), (b, y) in pairwise(areas) if y <= x]
    if len(areas) < 2:
        return "Only one layer was measured, so there is no order to judge."
    if falls:
        return f"By area, not every layer is above the one before it: {', '.join(falls)}."
    return "By area, every layer is more aligned than the one before it: alignment grows towards the output."


def _warning(history: History, seen: History, result: Mapping[str, Any]) -> str:
    notes = []
    if result.get("status") != "finished":
        notes.append(f"This run did not finish: it came to step {history.step[-1]:,}.")
    lost = diverged(history)
    bad = np.flatnonzero(~np.isfinite(seen.loss))
    if lost and not bad.size:
        named = ", ".join(str(i) for i in lost)
        notes.append(
            f"{len(lost)} of {history.models} models diverged (counted from 0: {named}); the medians are of the others."
        )
    if bad.size:
        notes.append(
            f"The loss is not finite from step {history.step[bad[0]]:,} on: the run diverged. Try a smaller step size."
        )
    return "".join(f'<p class="warning">{escape(note)}</p>' for note in notes)


def _tiles(last: LayerSummary, tau: float, history: History, result: Mapping[str, Any]) -> str:
    tiles = [
        (
            f"{percent(last.alignment[0].value)} → {percent(last.alignment[1].value)}",
            f"of the labels at σ ≥ {tau:g} in {last.layer}",
        ),
        (
            f"{_number(last.area[0].value, 1)} → {_number(last.area[1].value, 1)}",
            f"area under its curve, over ‖y‖² (at most {history.grid[-1]:.1f})",
        ),
    ]
    if "test_accuracy" in result:
        accuracies = " · ".join(
            percent(result_of(result, f"{part}_accuracy").value) for part in ("train", "test")
        )
        tiles.append((accuracies, "accuracy, training · test"))
    return "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )


def _table(rows: Iterable[LayerSummary], tau: float) -> str:
    head = [
        "layer",
        f"A({tau:g})/‖y‖² untrained",
        "trained",
        "by chance",
        "area/‖y‖² untrained",
        "trained",
    ]

    def shares(r):
        return (*(with_interval(a, percent) for a in r.alignment), percent(r.chance))

    body = [
        (r.layer, *shares(r), *(with_interval(a, lambda x: _number(x, 2)) for a in r.area))
        for r in rows
    ]
    cells = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return (
        "<table><tr>"
        + "".join(f"<th>{escape(cell)}</th>" for cell in head)
        + f"</tr>{cells}</table>"
    )


def _details(
    config: Mapping[str, Any], history: History, result: Mapping[str, Any]
) -> Iterable[tuple[str, str]]:
    yield from ((name, str(value)) for name, value in config["recipe"].items())
    yield "steps done", f"{history.step[-1]:,} of {config['steps']:,}"
    if "steps_per_second" in result:
        at = (
            "each"
            if len(history.measured) == len(history.step)
            else f"{len(history.measured):,} of them"
        )
        yield (
            "speed",
            f"{result['steps_per_second']:.0f} steps a second, every layer measured at {at}",
        )
    yield "device", config["environment"]["device"]
    yield (
        "versions",
        ", ".join(
            f"{name} {version}" for name, version in config["environment"]["versions"].items()
        ),
    )
    yield "data", f"{config['data']['source']}; sha256 {config['data']['sha256'][:16]}…"
    yield "started", config["environment"]["started"]


def _frames(history: History, seen: History) -> str:
    """Curves of every layer at steps spread evenly on a logarithmic scale, as JSON that is safe
    inside <script>.
    """
    last = len(history.measured) - 1
    rows = np.unique(np.round(np.expm1(np.linspace(0, np.log1p(last), FRAMES))).astype(int))
    colours = layer_colours(history)
    layers = [
        {
            "name": name,
            "colour": colours[name],
            "dashed": name not in model_layers(history),
            "curves": [
                [_rounded(share) for share in seen.layers[name].curve[t] / history.total]
                for t in rows
            ],
        }
        for name in history.layers
    ]
    content = {
        "steps": history.measured[rows].tolist(),
        "grid": [_rounded(tau) for tau in history.grid],
        "layers": layers,
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _number(value: float, digits: int) -> str:
    return "NaN" if np.isnan(value) else f"{value:.{digits}f}"
