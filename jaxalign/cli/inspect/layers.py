"""`jaxalign layers MODEL`: what there is to measure, and what it would take; nothing is computed."""

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxalign.cli.inspect.asked import Asked, question
from jaxalign.cli.inspect.data import Examples
from jaxalign.inspection import LayerPlan, plan
from jaxalign.inspection._plan import readable
from jaxalign.report.inspection.terminal import shown_shape

MARK = 2**30
"""Sums over a GiB are marked: d × d of them take their time to solve, too."""


@dataclass(frozen=True)
class Layers(Asked):
    """List a model's layers: names, shapes, dtypes, and the width d after each reduction. Nothing
    is computed.
    """

    shape: tuple[int, ...] = ()
    """Shape of one input, such as 224 224 3, in place of what the data have."""


def layers(config: Layers, console: Console) -> int:
    asked = question(config, _blank(config.shape) if config.shape else None, shapes_only=True)
    targets = asked.examples.targets.shape[1]
    by_mean, flat, by_sample = (
        plan(asked.tap, asked.loaded.state, asked.input_shape, reduce=way)
        for way in ("mean", "flatten", "samples")
    )
    dtypes = {layer.dtype for layer in by_mean.layers.values()}
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("layer", "shape", *(["dtype"] if len(dtypes) > 1 else [])):
        table.add_column(heading, no_wrap=True)
    for heading in ("d mean", "memory", "d flat", "memory", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, layer in by_mean.layers.items():
        sizes = [
            cell
            for way in (layer, flat.layers[name])
            for cell in (f"{way.width:,}", _memory(way, targets))
        ]
        kind = [layer.dtype] if len(dtypes) > 1 else []
        table.add_row(
            Text(name),
            shown_shape(layer.shape),
            *kind,
            *sizes,
            f"{by_sample.layers[name].positions:,}",
        )
    inputs = (
        f"inputs (n, {', '.join(map(str, asked.input_shape.shape[1:]))}) {asked.input_shape.dtype}"
    )
    one = f", layers {dtypes.pop()}" if len(dtypes) == 1 else ""
    console.print(f"[bold]{asked.loaded.name}[/]: {inputs}{one}", highlight=False, soft_wrap=True)
    console.print(
        "[dim]d: columns of Φ, the bias among them; memory: of d × d sums; rows: positions a sample[/]\n"
    )
    console.print(table)
    for name, reason in by_mean.left_out.items():
        console.print(Text(f"{name} is left out: {reason}", style="dim"))
    if any(layer.memory(targets) > MARK for layer in flat.layers.values()):
        console.print(
            "\n[yellow]Marked maps are too wide to flatten[/]: take their mean, their positions as samples, or, with fewer "
            "images than features, jaxalign.spectrum of the activations themselves, which needs n × n.",
            highlight=False,
        )
    return 0


def _blank(shape: tuple[int, ...]) -> Examples:
    """Two inputs of a shape: images of bytes, or rows of floats."""
    if min(shape) < 1:
        raise ValueError(f"--shape must be of positive numbers, found {shape}")
    inputs = np.zeros((2, *shape), np.uint8 if len(shape) > 1 else np.float32)
    return Examples(inputs, np.arange(2), np.ones((2, 1), np.float32), "a shape", "1 target")


def _memory(layer: LayerPlan, targets: int) -> str:
    memory = layer.memory(targets)
    return f"[yellow]{readable(memory)}[/]" if memory > MARK else readable(memory)
