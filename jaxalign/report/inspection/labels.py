"""The picture of how many labels a linear head on each layer needs."""

from collections import OrderedDict
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from jaxalign.inspection import Inspection, label_curves
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style
from jaxalign.style.layout import WIDE, Layout, panels, set_title
from jaxalign.style.legends import name_lines
from jaxalign.style.names import in_figure


class Predicted(NamedTuple):
    """The predicted error of the best ridge head of each layer, which takes seconds to compute.

    Attributes:
      samples: how many were inspected.
      grid: numbers of labels, to ten times the samples, which are among them.
      errors: layer → its curve.
    """

    samples: float
    grid: Float[np.ndarray, " g"]
    errors: OrderedDict[str, Float[np.ndarray, " g"]]

    def with_all_samples(self) -> dict[str, float]:
        """Layer → the error with as many labels as there are samples."""
        place = int(np.searchsorted(self.grid, self.samples))
        return {name: float(errors[place]) for name, errors in self.errors.items()}


def predicted(inspection: Inspection) -> Predicted:
    """The curves of an inspection's layers."""
    samples = inspection.num_samples
    grid = np.union1d(np.geomspace(min(5.0, samples), 10 * samples, 40), [samples])
    return Predicted(samples, grid, label_curves(inspection, grid))


def labels_needed(curves: Predicted, layout: Layout = WIDE) -> Figure:
    """The predicted error of the best ridge head of each layer against the number of its labels."""
    samples, grid, drawn = curves
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = panels(1, 4.2, layout)
        for name, colour in colours_by_depth(list(drawn)).items():
            style = {"color": colour, "label": in_figure(name), **line_style(name)}
            axes.plot(grid, drawn[name], **style)
        axes.axvline(samples, color=MUTED, lw=1, ls=":")
        axes.annotate(
            "samples\ninspected",
            (samples, 1),
            (-4, -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right",
            va="top",
            color=MUTED,
        )
        set_title(axes, "How many labels a linear head needs")
        axes.set(
            xlabel="labels that a ridge head is fitted to",
            ylabel="predicted error / mean y²",
            xscale="log",
            xlim=(grid[0], grid[-1]),
            ylim=(0, None),
        )
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        name_lines(figure, [axes])
    return figure
