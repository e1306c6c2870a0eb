"""What the pictures of a run share: a line with its band, an axis of steps."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from jaxalign.report.run.summary import RunSummary
from jaxalign.runs import History
from jaxalign.statistics import Estimate
from jaxalign.style.figures import colours_by_depth, line_style
from jaxalign.style.names import in_figure


def layer_colours(run: RunSummary) -> dict[str, str]:
    """Grey for the inputs, then light to dark from the first layer to the last, the same for every
    monitor of the run.
    """
    colours: dict[str, str] = {}
    for names in run.monitors.values():
        colours |= colours_by_depth(names)
    return colours


def layer_line(run: RunSummary, name: str) -> dict[str, Any]:
    """The style of a layer's line, with its name for the legend."""
    label = in_figure(run.own_name(name))
    return {"color": layer_colours(run)[name], "label": label, **line_style(name)}


def titled(run: RunSummary, layer: str, title: str) -> str:
    """A title that names the layer's monitor, where there are several."""
    return ": ".join(filter(None, [run.monitor_of(layer), title]))


def draw(
    axes: Axes,
    x: np.ndarray,
    y: Estimate,
    style: dict[str, Any],
    step: Literal["pre", "post"] | None = None,
) -> None:
    """A line and, for several models, the band around it.

    Args:
      axes: where to.
      x: (n,).
      y: of (n,).
      style: of the line.
      step: for a step function "pre", if it is continuous from the left, or "post".
    """
    axes.plot(x, y.value, drawstyle="default" if step is None else f"steps-{step}", **style)
    if y.n > 1:
        alpha = 0.2 * style.get("alpha", 1.0)
        axes.fill_between(
            x, y.low, y.high, color=style["color"], alpha=alpha, linewidth=0, step=step
        )


def step_axis(axes: Axes, history: History) -> None:
    """Steps 0...10 evenly, then by decades: most happens early."""
    last = int(history.step[-1])
    axes.set(xlabel="training step", xlim=(0, max(last, 1)))
    if last > 10:
        axes.set_xscale("symlog", linthresh=10, linscale=0.6)
        decades = [10**exponent for exponent in range(1, int(np.log10(last)) + 1)]
        # The last step has its own tick, which a decade just before it would touch.
        axes.set_xticks([0, *(decade for decade in decades if decade < last / 2), last])
        axes.xaxis.set_major_formatter(FuncFormatter(_whole))
        axes.xaxis.set_minor_locator(NullLocator())


def _whole(step: float, _: int) -> str:
    return f"{step:,.0f}"
