"""`jaxalign compare A B`: two models layer by layer, as a few lines of the public calls."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxalign.cli.choices import CENTERED
from jaxalign.cli.compare.measures import measure_of
from jaxalign.cli.compare.options import Compare
from jaxalign.cli.compare.sides import Sides, load_sides
from jaxalign.cli.environment import environment
from jaxalign.cli.folders import next_free_folder
from jaxalign.cli.progress import Lines, progress_bar
from jaxalign.comparison import Compared, Comparison, compare, save
from jaxalign.comparison._folder import FIGURES, PAGE, PICTURE, require_free
from jaxalign.comparison._layers import Callback
from jaxalign.report.comparison.figure import similarity_map
from jaxalign.report.comparison.notes import notes
from jaxalign.report.comparison.page import comparison_page
from jaxalign.report.comparison.terminal import comparison_table

LINES = 4
"""Lines of a stage where there is no terminal, beside the first."""


def compare_models(config: Compare, console: Console) -> int:
    """Run ``config``; returns the exit status: 0, or 130 after Ctrl-C, which writes nothing."""
    folder = config.out or next_free_folder("compare")
    require_free(folder, overwrite=config.overwrite)
    sides = load_sides(config)
    started = time.perf_counter()
    try:
        comparison = _compare(config, sides, console)
    except KeyboardInterrupt:
        console.print("Interrupted: nothing was written.")
        return 130
    seconds = time.perf_counter() - started
    compared = Compared(comparison, _description(config, sides, comparison, seconds))
    save(folder, compared)
    picture = _write_report(folder, compared)
    console.print()
    console.print(comparison_table(compared), crop=False)
    for note in compared.config["notes"]:
        console.print(f"\n{note}", style="dim", highlight=False)
    console.print(
        f"\nPicture: {picture}\nPage:    {folder / PAGE}", highlight=False, soft_wrap=True
    )
    return 0


def _compare(config: Compare, sides: Sides, console: Console) -> Comparison:
    with _progress(console) as callback:
        return compare(
            sides.first,
            sides.second,
            measure_of(config),
            targets=sides.targets,
            centered=CENTERED[config.centered],
            permutations=config.permutations,
            intervals=config.intervals,
            seed=config.seed,
            memory_limit=config.memory * 2**30,
            callback=callback,
        )


def _write_report(folder: Path, compared: Compared) -> Path:
    """Draw the figure and write the page; returns the path of the picture."""
    figure = similarity_map(compared)
    (folder / FIGURES).mkdir(exist_ok=True)
    picture = folder / FIGURES / f"{PICTURE}.png"
    figure.savefig(picture, dpi=160)
    (folder / PAGE).write_text(comparison_page(compared, figure), encoding="utf-8")
    return picture


def _description(
    config: Compare, sides: Sides, comparison: Comparison, seconds: float
) -> dict[str, Any]:
    """config.json: what was compared, and on what it ran."""
    here = environment()
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    first, second = sides.names
    is_same = sides.first is sides.second
    weights = dict(zip(("weights of A", "weights of B"), sides.weights, strict=False))
    return {
        "title": f"The layers of {first}" if is_same else f"{first} and {second}",
        "subtitle": f"{comparison.measure} · {sides.data}",
        "names": sides.names,
        "command": shlex.join(["jaxalign", *sys.argv[1:]]),
        "notes": _notes(config, sides, comparison),
        "details": {
            "A": config.a.model,
            "B": config.b.model,
            **weights,
            "data": sides.data,
            "measure": comparison.measure,
            "maps by": config.reduce,
            "time": f"{seconds:.1f} s",
            "device": here["device"],
            "versions": versions,
            "started": here["started"],
        },
    }


def _notes(config: Compare, sides: Sides, comparison: Comparison) -> list[str]:
    """What to bear in mind about these numbers."""
    lines = [*notes(comparison, reduce=config.reduce), *sides.notes]
    if sides.examples is not None:
        lines += sides.examples.warnings_of_mean(centered=comparison.centered)
    return lines


@contextmanager
def _progress(console: Console) -> Iterator[Callback]:
    """Shows how far each stage has come: a bar in a terminal, a few lines elsewhere."""
    if not console.is_terminal:
        stages: dict[str, Lines] = {}

        def print_line(stage: str, done: int, total: int) -> None:
            lines = stages.setdefault(stage, Lines(total, LINES))
            if lines.due(done):
                console.print(f"{stage}: {done:,} of {total:,}", highlight=False)

        yield print_line
        return
    with progress_bar(console) as bar:
        tasks: dict[str, Any] = {}

        def move(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        yield move
