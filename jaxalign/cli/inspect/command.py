"""`jaxalign inspect MODEL --data DATA`: the measure of a model somebody already has, as a few lines
of the public calls.
"""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxalign._features import Reduce
from jaxalign.cli.environment import environment
from jaxalign.cli.inspect.asked import Asked, Question, question
from jaxalign.cli.inspect.data import Batches
from jaxalign.inspection import Inspected, inspect, save
from jaxalign.inspection._folder import FIGURES, PAGE, PICTURE, require_free
from jaxalign.inspection._inspect import Callback
from jaxalign.inspection._numbers import usual_thresholds
from jaxalign.report.inspection.figure import alignment_by_layer
from jaxalign.report.inspection.page import inspected_page
from jaxalign.report.inspection.terminal import inspected_table


@dataclass(frozen=True)
class Inspect(Asked):
    """Measure every layer of a model that is there, over a data set of any length.

    The data stream through the model once, in constant memory. A run folder with numbers, curves, a
    picture and a page is left behind.
    """

    reduce: Reduce = "mean"
    """What becomes of the positions of maps and tokens: mean over them, flatten into features,
    samples of their own, or cls, \
the first one alone."""
    thresholds: tuple[float, ...] = ()
    """Thresholds τ of the table; the middle one is the headline. By default 5, 15 and 30 % of √n,
    to one digit.
    """
    centered: bool = False
    """About the means of features and targets."""
    refined: bool = False
    """Read the data twice, for singular values as accurate as those of a float64 SVD."""
    batch_size: int = 128
    """Rows at a time."""
    memory: float = 4.0
    """GiB that the sums of all layers may take."""
    out: Path | None = None
    """Run folder to make; by default the next free runs/inspect-N."""
    overwrite: bool = False
    """Replace the inspection that is in the out folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 1:
            raise ValueError(
                f"batch_size must be at least 1, found {self.batch_size}; change --batch-size"
            )
        if not 0 < self.memory < float("inf"):
            raise ValueError(
                f"memory must be a positive number of GiB, found {self.memory}; change --memory"
            )
        if any(not 0 <= tau < float("inf") for tau in self.thresholds):
            raise ValueError(
                f"thresholds must be finite and not negative, found {self.thresholds}; change --thresholds"
            )
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite needs a folder to replace; pass --out")


def inspect_model(config: Inspect, console: Console) -> int:
    """Run ``config``; returns the exit status: 0, or 130 after Ctrl-C, which leaves nothing behind."""
    folder = _next_free(Path("runs")) if config.out is None else config.out
    require_free(folder, overwrite=config.overwrite)
    asked = question(config)
    started = time.perf_counter()
    try:
        with _progress(console, len(asked.examples)) as callback:
            found = inspect(
                asked.tap,
                asked.loaded.state,
                Batches(asked.examples, asked.convert, config.batch_size),
                reduce=config.reduce,
                centered=config.centered,
                refined=config.refined,
                memory_limit=int(config.memory * 2**30),
                callback=callback,
            )
    except KeyboardInterrupt:
        console.print("Interrupted: nothing was written.")
        return 130
    tau = config.thresholds or usual_thresholds(found.samples)
    inspected = Inspected(
        found, tau, _description(config, asked, round(time.perf_counter() - started, 2))
    )
    picture = _write(folder, inspected)
    console.print()
    console.print(inspected_table(inspected))
    for warning in inspected.config["warnings"]:
        console.print(f"\n[yellow]{warning}[/]", highlight=False)
    console.print(
        f"\nPicture: {picture}\nPage:    {folder / PAGE}", highlight=False, soft_wrap=True
    )
    return 0


def _write(folder: Path, inspected: Inspected) -> Path:
    """Save everything, draw the figure, write the page; returns the path of the picture."""
    save(folder, inspected)
    figure = alignment_by_layer(inspected.inspection)
    picture = folder / FIGURES / f"{PICTURE}.png"
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=160)
    (folder / PAGE).write_text(inspected_page(inspected, figure), encoding="utf-8")
    return picture


def _description(config: Inspect, asked: Question, seconds: float) -> dict[str, Any]:
    examples, loaded = asked.examples, asked.loaded
    found = environment()
    name = loaded.name.rpartition("/")[2]
    return {
        "title": f"{name} on {examples.source}",
        "subtitle": f"{len(examples):,} samples · {examples.task} · weights {loaded.weights.partition(', sha256')[0]}",
        "command": shlex.join(["jaxalign", *sys.argv[1:]]),
        "warnings": _warnings(config, asked),
        "notes": _notes(config, asked),
        "details": {
            "model": loaded.name,
            "weights": loaded.weights,
            "data": f"{examples.source}, {len(examples):,} samples, {examples.task}",
            "layers": f"{', '.join(config.layers or loaded.layers)}, at their {config.at}, maps by {config.reduce}",
            "centred": "about the means" if config.centered else "no",
            "passes": "two" if config.refined else "one",
            "time": f"{seconds:.1f} s",
            "device": found["device"],
            "versions": ", ".join(
                f"{package} {version}" for package, version in found["versions"].items()
            ),
            "started": found["started"],
        },
    }


def _warnings(config: Inspect, asked: Question) -> list[str]:
    """What would mislead whoever overlooks it."""
    share = asked.examples.share_of_mean
    if share < 0.1 or config.centered:
        return []
    return [
        f"{share:.0%} of ‖y‖² is the mean of the targets, so every layer with a strong common direction is aligned with that "
        "much, trained or not. --centered leaves it out."
    ]


def _notes(config: Inspect, asked: Question) -> list[str]:
    """What to bear in mind about these numbers, for the page."""
    notes = []
    if asked.loaded.weights.startswith("initial"):
        notes.append("The weights are those the network begins with: nothing was learned yet.")
    if config.reduce == "samples":
        notes.append(
            "Positions of maps are rows of their own, of the target of their sample: σ can be as large as the root of their "
            "number. Chance is that of targets that differ from row to row; random ones a sample would be aligned with more."
        )
    return notes


@contextmanager
def _progress(console: Console, samples: int) -> Iterator[Callback]:
    """Shows how far each pass has come: a bar in a terminal, a few lines elsewhere."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns, TextColumn("·"), TimeRemainingColumn(), TextColumn("left"), console=console
        ) as bar:
            tasks = {}

            def move(stage: str, done: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(
                        stage, total=None if stage == "solving" else samples
                    )
                bar.update(tasks[stage], completed=done)

            yield move
        return
    marks: dict[str, float] = {}

    def tell(stage: str, done: int) -> None:
        if stage != "solving" and (done >= marks.get(stage, 0) or done == samples):
            marks[stage] = done + samples / 5
            console.print(f"{stage}: {done:,} of {samples:,} samples", highlight=False)

    yield tell


def _next_free(parent: Path) -> Path:
    number = 1
    while (parent / f"inspect-{number}").exists():
        number += 1
    return parent / f"inspect-{number}"
