"""`jaxalign layers MODEL`: what there is to measure and what it takes; nothing is computed."""

from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxalign._core.memory import readable
from jaxalign._core.tables import WholeTable
from jaxalign.cli.inspect.options import Layers
from jaxalign.cli.subject.architectures import PUBLISHED_PIXELS
from jaxalign.cli.subject.examples import Examples
from jaxalign.cli.subject.model import is_folder
from jaxalign.cli.subject.sources import EMBEDDED
from jaxalign.cli.subject.subject import load_subject
from jaxalign.inspection import LayerPlan, Plan, plan
from jaxalign.models.weights._hugging_face import expected_input
from jaxalign.report.inspection.terminal import shown_shape
from jaxalign.style.names import in_terminal, printable

LARGE = 2**30
"""Sums over a GiB are marked: d × d of them take their time to solve, too."""

MARK = "!"


def layers(config: Layers, console: Console) -> int:
    """Print the table; returns the exit status."""
    config = with_inputs(config)
    examples = _blank(config) if config.shape else None
    subject = load_subject(config, examples=examples, shapes_only=True)
    plans = {
        way: plan(subject.tap, subject.loaded.state, subject.input_shape, reduce=way)
        for way in ("mean", "flatten", "samples")
    }
    by_mean = plans["mean"]
    targets = subject.examples.targets.shape[1]
    dtypes = {layer.dtype for layer in by_mean.layers.values()}
    shape = subject.input_shape
    text = f": inputs (n, {', '.join(map(str, shape.shape[1:]))}) {shape.dtype}"
    if len(dtypes) == 1:
        text += f", layers {min(dtypes)}"
    console.print(Text(subject.loaded.name, style="bold") + Text(text), soft_wrap=True)
    console.print(
        "d: columns of Φ, the bias among them; memory: of d × d sums; rows: positions per sample\n",
        style="dim",
    )
    console.print(_table(plans, targets, with_dtypes=len(dtypes) > 1), crop=False)
    for name, reason in by_mean.left_out.items():
        console.print(f"{printable(name)} is left out: {reason}", style="dim")
    if any(layer.memory(targets) > LARGE for layer in plans["flatten"].layers.values()):
        console.print(
            f"\nMaps marked {MARK} are too wide to flatten: take their mean, their positions as "
            "samples, or, with fewer images than features, jaxalign.spectrum of the activations "
            "themselves, which needs n × n.",
            style="yellow",
            highlight=False,
        )
    return 0


def _table(plans: dict[str, Plan], targets: int, *, with_dtypes: bool) -> Table:
    """A row per layer: its shape, and d and memory by reduction."""
    table = WholeTable(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("layer", "shape", *(["dtype"] if with_dtypes else [])):
        table.add_column(heading, no_wrap=True)
    for heading in ("d mean", "memory", "d flat", "memory", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, layer in plans["mean"].layers.items():
        flat = plans["flatten"].layers[name]
        cells: list[str | Text] = [shown_shape(layer.shape)]
        if with_dtypes:
            cells.append(layer.dtype)
        for one in (layer, flat):
            cells += [f"{one.width:,}", _memory(one, targets)]
        positions = plans["samples"].layers[name].positions
        table.add_row(in_terminal(name), *cells, f"{positions:,}")
    return table


def with_inputs(config: Layers) -> Layers:
    """Where neither data nor a shape are named: what the published model takes and returns, or
    the embedded images.
    """
    pixels = PUBLISHED_PIXELS.get(config.model)
    if config.shape or config.data:
        return config
    if is_folder(config.model) and not config.names_data:
        return replace(config, shape=expected_input(config.model).shape)
    if config.names_data or pixels is None:
        return replace(config, data=EMBEDDED)
    return replace(config, shape=(pixels, pixels, 3), outputs=config.outputs or 1000)


def _blank(config: Layers) -> Examples:
    """Two inputs of a shape: images of bytes, rows of floats, or tokens."""
    dtype: Any = np.uint8 if len(config.shape) > 1 else np.float32
    if is_folder(config.model):
        dtype = expected_input(config.model).dtype
    inputs = np.zeros((2, *config.shape), dtype)
    return Examples(inputs, np.arange(2), np.ones((2, 1), np.float32), (), "a shape")


def _memory(layer: LayerPlan, targets: int) -> Text:
    memory = layer.memory(targets)
    if memory > LARGE:
        return Text(f"{MARK} {readable(memory)}", style="yellow")
    return Text(readable(memory))
