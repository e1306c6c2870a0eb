"""`jaxalign inspect MODEL --data DATA`: the measure of a given model, as a few lines of the public
calls.
"""

import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxalign.alignment import usual_thresholds
from jaxalign.cli.checks import require_defaults
from jaxalign.cli.choices import CENTERED
from jaxalign.cli.environment import environment
from jaxalign.cli.folders import next_free_folder
from jaxalign.cli.inspect.options import Inspect
from jaxalign.cli.progress import Lines, progress_bar
from jaxalign.cli.subject.examples import Batches
from jaxalign.cli.subject.subject import Subject, load_subject
from jaxalign.inspection import Inspected, Inspection, inspect, notes, save
from jaxalign.inspection._folder import FIGURES, LABELS_PICTURE, PAGE, PICTURE, require_free
from jaxalign.inspection._inspect import Callback
from jaxalign.report.inspection.figure import alignment_by_layer
from jaxalign.report.inspection.labels import labels_needed, predicted
from jaxalign.report.inspection.page import inspected_page
from jaxalign.report.inspection.terminal import inspected_table

UNFINISHED = "unfinished"
"""The folder, in that of the inspection, of what an interrupted one goes on from."""
LINES = 5
"""Lines of a pass where there is no terminal, beside the first."""


def inspect_model(config: Inspect, console: Console) -> int:
    """Run ``config``; returns the exit status: 0, or 130 after Ctrl-C, which leaves the sums so
    far.
    """
    folder = config.out or next_free_folder("inspect")
    require_free(folder, overwrite=config.overwrite)
    subject = load_subject(config, config.part)
    if not subject.loaded.is_initial:
        require_defaults(config, ["seed"], "would change nothing: weights are given")
    started = time.perf_counter()
    try:
        inspection = _measure(config, subject, folder, console)
    except KeyboardInterrupt:
        message = "nothing was written."
        if (folder / UNFINISHED).exists():
            message = f"the same command with --out {folder} goes on."
        console.print(f"Interrupted: {message}", highlight=False, soft_wrap=True)
        return 130
    seconds = time.perf_counter() - started
    inspected = Inspected(
        inspection,
        config.thresholds or usual_thresholds(inspection.num_samples),
        _description(config, subject, inspection, seconds),
    )
    save(folder, inspected)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    picture = _write_report(folder, inspected)
    _print(inspected, console)
    console.print(
        f"\nPicture: {picture}\nPage:    {folder / PAGE}", highlight=False, soft_wrap=True
    )
    return 0


def _measure(config: Inspect, subject: Subject, folder: Path, console: Console) -> Inspection:
    with _progress(console, len(subject.examples)) as callback:
        return inspect(
            subject.tap,
            subject.loaded.state,
            Batches(subject.examples, subject.convert, config.batch_size),
            reduce=config.reduce,
            mask=subject.loaded.mask,
            centered=CENTERED[config.centered],
            method=config.method,
            memory_limit=int(config.memory * 2**30),
            callback=callback,
            unfinished=folder / UNFINISHED,
        )


def _write_report(folder: Path, inspected: Inspected) -> Path:
    """Draw the figures and write the page; returns the path of the first picture."""
    figure = alignment_by_layer(inspected.inspection)
    curves = predicted(inspected.inspection)
    labels = labels_needed(curves)
    folder_of_figures = folder / FIGURES
    folder_of_figures.mkdir(exist_ok=True)
    picture = folder_of_figures / f"{PICTURE}.png"
    figure.savefig(picture, dpi=160)
    labels.savefig(folder_of_figures / f"{LABELS_PICTURE}.png", dpi=160)
    (folder / PAGE).write_text(inspected_page(inspected, curves), encoding="utf-8")
    return picture


def _print(inspected: Inspected, console: Console) -> None:
    console.print()
    console.print(inspected_table(inspected), crop=False)
    for note in inspected.config["notes"]:
        console.print(f"\n{note}", style="dim", highlight=False)
    for warning in inspected.config["warnings"]:
        console.print(f"\nWarning: {warning}", style="yellow", highlight=False)


def _description(
    config: Inspect, subject: Subject, inspection: Inspection, seconds: float
) -> dict[str, Any]:
    """config.json: what was measured, and on what it ran."""
    examples = subject.examples
    loaded = subject.loaded
    here = environment()
    versions = here["versions"].items()
    layers = ", ".join(config.layers or loaded.layers)
    weights = loaded.weights.partition(", sha256")[0]
    return {
        "title": f"{loaded.name.rpartition('/')[2]} on {examples.source}",
        "subtitle": f"{len(examples):,} samples · {examples.task} · weights {weights}",
        "command": shlex.join(["jaxalign", *sys.argv[1:]]),
        "warnings": examples.warnings_of_mean(centered=inspection.centered),
        "notes": _notes(config, subject, inspection),
        "details": {
            "model": loaded.name,
            "weights": loaded.weights,
            "data": f"{examples.source}, {len(examples):,} samples, {examples.task}",
            "layers": f"{layers}, at their {config.at}, maps by {config.reduce}",
            "centred": "about the means" if inspection.centered else "no",
            "method": config.method,
            "time": f"{seconds:.1f} s",
            "device": here["device"],
            "versions": ", ".join(f"{package} {version}" for package, version in versions),
            "started": here["started"],
        },
    }


def _notes(config: Inspect, subject: Subject, inspection: Inspection) -> list[str]:
    """What to bear in mind about these numbers."""
    lines = [*notes(inspection), *subject.loaded.notes]
    if subject.loaded.is_initial:
        lines.append("The weights are initial ones: the network has not been trained.")
    if config.reduce == "samples":
        lines.append(
            "Positions are rows of their own, with the target of their sample, so σ can be as "
            "large as the root of their number. The null permutes rows; permuting samples would "
            "give a higher one."
        )
    return lines


@contextmanager
def _progress(console: Console, num_samples: int) -> Iterator[Callback]:
    """Shows how far each pass has come: a bar in a terminal, a few lines elsewhere."""
    if not console.is_terminal:
        passes: dict[str, Lines] = {}

        def print_line(stage: str, done: int) -> None:
            lines = passes.setdefault(stage, Lines(num_samples, LINES))
            if stage != "solving" and lines.due(done):
                console.print(f"{stage}: {done:,} of {num_samples:,} samples", highlight=False)

        yield print_line
        return
    with progress_bar(console) as bar:
        tasks: dict[str, Any] = {}

        def move(stage: str, done: int) -> None:
            if stage not in tasks:
                total = None if stage == "solving" else num_samples
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        yield move
