"""The curves of several runs over steps, a panel per layer and a line per run."""

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxalign.report.run.axes import draw, step_axis
from jaxalign.report.run.summary import RunSummary
from jaxalign.report.runs.differences import Differences, Quantity, Row
from jaxalign.statistics import Estimate
from jaxalign.style.figures import STYLE
from jaxalign.style.layout import WIDE, Layout, panels, set_title
from jaxalign.style.names import in_figure

HEIGHT = 2.9
DASHES = ("-", "--", ":", "-.")


def curves(found: Differences, quantity: Quantity, layout: Layout = WIDE) -> Figure:
    """A quantity of every layer over steps: of several models the median and its 95 % interval."""
    rows = [row for row in found.rows if row.quantity == quantity]
    longest = max((run.summary.history for run in found.runs), key=lambda h: int(h.step[-1]))
    colours = matplotlib.colormaps["tab10"](range(10))
    with matplotlib.rc_context(STYLE):
        figure, drawn = panels(len(rows), HEIGHT, layout)
        for axes, row in zip(drawn, rows, strict=True):
            for number, run in enumerate(found.runs):
                dashes = DASHES[number // len(colours) % len(DASHES)]
                style = {"color": colours[number % len(colours)], "linestyle": dashes}
                steps = run.summary.steps_of(row.layer, quantity.measure)
                label = in_figure(run.name)
                draw(axes, steps, _over_steps(run.summary, row), {**style, "label": label})
            set_title(axes, row.layer)
            step_axis(axes, longest)
            if quantity.tau is not None:
                axes.set_ylim(0, 1.02)
                axes.yaxis.set_major_formatter(PercentFormatter(1))
        figure.supylabel(in_figure(quantity.name))
        figure.legend(handles=drawn[0].lines, loc="outside lower left")
    return figure


def _over_steps(run: RunSummary, row: Row) -> Estimate:
    measure, tau = row.quantity.measure, row.quantity.tau
    measures = run.shares[row.layer] | run.others[row.layer]
    if tau is None:
        return measures[measure]
    place = run.axis(row.layer, measure).tolist().index(tau)
    return measures[measure].map(lambda values: values[:, place])
