"""The pictures of the measures that a user added to a run: numbers over steps, and arrays over
their own axis.
"""

from collections.abc import Iterator, Sequence

import matplotlib
from matplotlib.figure import Figure

from jaxalign.report.run.axes import draw, layer_line, step_axis, titled
from jaxalign.report.run.quantities import arrays, scalars
from jaxalign.report.run.summary import RunSummary
from jaxalign.style.figures import STYLE
from jaxalign.style.layout import WIDE, Layout, panels, set_title
from jaxalign.style.legends import name_lines
from jaxalign.style.names import in_figure

HEIGHT = 3.0


def measures_by_step(run: RunSummary, layout: Layout = WIDE) -> Figure:
    """One panel per scalar measure, and per monitor: its value over steps, one line per layer."""
    shown = [
        (measure, names)
        for measure, layers in scalars(run, run.history.layers).items()
        for names in _by_monitor(run, layers)
    ]
    with matplotlib.rc_context(STYLE):
        figure, drawn = panels(len(shown), HEIGHT, layout)
        for axes, (measure, names) in zip(drawn, shown, strict=True):
            for name in names:
                style = layer_line(run, name)
                draw(axes, run.steps_of(name, measure), run.others[name][measure], style)
            set_title(axes, titled(run, names[0], measure))
            step_axis(axes, run.history)
        name_lines(figure, drawn)
    return figure


def measures_by_coordinate(run: RunSummary, layout: Layout = WIDE) -> Figure:
    """One panel per array measure with one named axis, and per monitor: over that axis, one line
    per layer, pale at the first measured step and strong at the last.
    """
    shown = [
        (measure, axis, names)
        for (measure, axis), layers in arrays(run, run.history.layers).items()
        for names in _by_monitor(run, layers)
    ]
    with matplotlib.rc_context(STYLE):
        figure, drawn = panels(len(shown), HEIGHT, layout)
        for axes, (measure, axis, names) in zip(drawn, shown, strict=True):
            for name in names:
                values = run.others[name][measure]
                along = run.axis(name, measure, axis)
                style = layer_line(run, name)
                first = {**style, "alpha": 0.45, "label": None}
                draw(axes, along, values.map(lambda rows: rows[0]), first)
                draw(axes, along, values.map(lambda rows: rows[-1]), style)
            set_title(axes, titled(run, names[0], measure))
            axes.set_xlabel(in_figure(axis))
        name_lines(figure, drawn)
    return figure


def _by_monitor(run: RunSummary, layers: Sequence[str]) -> Iterator[list[str]]:
    """The layers of each monitor that has any of these."""
    for names in run.monitors.values():
        measured = [name for name in names if name in layers]
        if measured:
            yield measured
