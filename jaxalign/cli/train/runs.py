"""The run folders that one training program fills: one, or one for each of several optimizers and
step sizes.
"""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxalign._core.naming import value_names
from jaxalign.cli.environment import environment
from jaxalign.cli.train.options import Train, Variant, as_settings
from jaxalign.cli.train.recipe import Task
from jaxalign.data import Dataset
from jaxalign.report.run.figures import all_figures
from jaxalign.report.run.page import page
from jaxalign.report.run.summary import RunSummary, summarize
from jaxalign.report.run.sweep import sweep
from jaxalign.report.run.terminal import summary
from jaxalign.runs import History, RunWriter, read_config, read_history, read_result
from jaxalign.runs._folder import FIGURES, PAGE, holds_a_run

CHECKPOINTS = "checkpoints"
SWEEP = "sweep.png"


@dataclass(frozen=True)
class Run:
    """A run folder and its models of the program.

    Attributes:
      writer: fills the folder.
      variant: the optimizer and step size of its models.
      models: their positions in the program's history; None for the only one.
    """

    writer: RunWriter
    variant: Variant
    models: int | list[int] | None

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.writer.folder

    def write(self, part: History) -> None:
        """Append the rows of its models of a chunk."""
        self.writer.write(part if self.models is None else part.of(self.models))

    def result(self, together: Mapping[str, Any]) -> dict[str, Any]:
        """result.json of its models: of arrays over all models, their entries."""
        chosen = 0 if self.models is None else self.models
        return {
            name: np.round(value[chosen].astype(float), 4).tolist()
            if isinstance(value, np.ndarray)
            else value
            for name, value in together.items()
        }


def open_runs(config: Train, folder: Path, task: Task, *, resume: bool) -> list[Run]:
    """The runs of a configuration, each in ``folder`` or, for several variants, in a folder in it.
    Nothing is written yet.

    Raises:
      FileExistsError: a run is there, or runs of other variants.
    """
    places = [place_of(config, folder, variant) for variant in config.variants]
    _require_no_others(folder, places)
    runs = []
    for number, (variant, place) in enumerate(zip(config.variants, places, strict=True)):
        writer = RunWriter(
            place,
            _description(config, variant, task),
            overwrite=config.overwrite,
            resume=resume,
            array_dtype=config.array_dtype,
            array_every=config.array_every,
        )
        runs.append(Run(writer, variant, _models(config, number)))
    # A checkpoint of the run that is replaced would be resumed from.
    if config.overwrite:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return runs


def _require_no_others(folder: Path, places: Sequence[Path]) -> None:
    """Raise for runs in ``folder``, beside those at ``places``, that would be taken for a part of
    the same sweep, or in place of the only run.
    """
    others = {folder, *folders(folder)} - {*places}
    listed = ", ".join(sorted(str(run) for run in others if holds_a_run(run)))
    if listed:
        raise FileExistsError(
            f"out folder {folder} holds runs of other settings ({listed}), which would be taken "
            "together with this one; name another folder, or delete them"
        )


def folders(folder: Path) -> Sequence[Path]:
    """The run folder itself, or those of its variants in it."""
    return sorted(file.parent for file in folder.glob("*learning-rate-*/config.json")) or [folder]


def finish(runs: Sequence[Run], result: Mapping[str, Any], console: Console) -> Path:
    """Write every run's pictures, page and, last, its result, and print its summary; returns the
    picture to look at first.

    Raises:
      ValueError: the rows on disk are not those that were written.
    """
    summaries: dict[tuple[str, float], RunSummary] = {}
    picture = Path()
    for run in runs:
        summarized = summarize(read_history(run.folder))
        picture = _write_report(run.folder, summarized, run.result(result))
        config = read_config(run.folder)
        console.print()
        console.print(summary(summarized, config, run.result(result)), crop=False)
        for note in config["monitor"]["notes"]:
            console.print(f"\n{note}", style="dim", highlight=False)
        summaries[run.variant] = summarized
    if len(runs) > 1:
        picture = runs[0].folder.parent / SWEEP
        sweep(summaries).savefig(picture, dpi=160)
    for run in runs:
        run.writer.finish(run.result(result))
    return picture


def show_run(folder: Path, console: Console) -> None:
    """Print the summary of a run, also while it runs.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: a run without a row yet.
    """
    history = read_history(folder)
    if len(history.step) == 0:
        raise ValueError(f"{folder} has no row yet; ask again when its first chunk is done")
    console.print(summary(summarize(history), read_config(folder), read_result(folder)), crop=False)
    if (folder / PAGE).is_file():
        console.print(f"\nPage: {folder / PAGE}\n", highlight=False, soft_wrap=True)


def _write_report(folder: Path, run: RunSummary, result: Mapping[str, Any]) -> Path:
    """Draw a run's figures and write its page into its folder; returns the path of the first
    picture.
    """
    figures = all_figures(run)
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / FIGURES / f"{name}.png", dpi=160)
    content = page(run, read_config(folder), result)
    (folder / PAGE).write_text(content, encoding="utf-8")
    return folder / FIGURES / f"{next(iter(figures))}.png"


def place_of(config: Train, folder: Path, variant: Variant) -> Path:
    """The run folder of a variant, in the folder of all."""
    if len(config.variants) == 1:
        return folder
    rates = config.learning_rate
    name = f"learning-rate-{value_names(rates)[rates.index(variant.rate)]}"
    if len(config.optimizer) > 1:
        name = f"{variant.optimizer}-{name}"
    return folder / name


def _models(config: Train, variant: int) -> int | list[int] | None:
    """The positions of a variant's models among all, see ``recipe.seeds_of``."""
    if config.models == 1:
        return None
    if config.seeds == 1:
        return variant
    first = variant * config.seeds
    return list(range(first, first + config.seeds))


def _description(config: Train, variant: Variant, task: Task) -> dict[str, Any]:
    """config.json: the settings, what they mean for people, and what they ran on."""
    recipe = _recipe(config, variant, task)
    return {
        "title": _title(task.train),
        "subtitle": f"{recipe['network']} · {recipe['optimizer']} · {recipe['samples']}",
        "command": shlex.join(["jaxalign", *(sys.argv[1:] or ["train"])]),
        "steps": config.steps,
        "recipe": recipe,
        "train": as_settings(config),
        "monitor": {
            "size": len(task.monitored),
            "sha256": task.monitored.sha256(),
            "method": config.method,
            "reduce": config.reduce,
            "centered": task.centered,
            "notes": _notes(config, task),
        },
        "data": {
            "source": task.train.source,
            "size": len(task.train),
            "sha256": task.train.sha256(),
        },
        "environment": environment(),
    }


def _title(data: Dataset) -> str:
    names = data.class_names
    if not names:
        return f"Regression on {data.source}"
    if len(names) == 2:
        return f"{names[0]} against {names[1]}"
    return f"{len(names)} classes of {data.source}"


def _recipe(config: Train, variant: Variant, task: Task) -> dict[str, str]:
    """The recipe for people, in a few words each."""
    network = f"{config.model.rpartition('/')[2]}, weights {task.weights}"
    if config.model == "mlp":
        network = f"MLP {'-'.join([str(config.width)] * config.depth)}, {config.activation}"
    names = task.train.class_names
    rows = f"{len(task.train):,} samples"
    if len(names) == 2:
        rows += f" of {names[0]} and {names[1]}"
    elif names:
        rows += f" of {len(names)} classes"
    seeds = f"seed {config.seed}"
    if config.seeds > 1:
        seeds = f"seeds {config.seed} to {config.seed + config.seeds - 1}"
    optimizer = f"{variant.optimizer}, step size {variant.rate:g}, batch {config.batch_size}"
    return {"samples": rows, "network": network, "optimizer": f"{optimizer}, {seeds}"}


def _notes(config: Train, task: Task) -> list[str]:
    """What to bear in mind about the measured numbers, for the page."""
    trained = len(task.train)
    measured = len(task.monitored)
    rows = "all" if measured == trained else f"{measured:,} of the"
    notes = [
        f"Measured on {rows} {trained:,} training samples, as in the paper; new samples would give "
        "other curves."
    ]
    if task.has_maps:
        notes.append(f"Maps and tokens are made rows by --reduce {config.reduce}.")
    if task.centered:
        notes.append(
            "Features and targets are taken about their means, since a constant would explain "
            "most of ‖y‖² otherwise."
        )
    if config.seeds > 1 and task.same_weights:
        notes.append("All seeds begin with the same weights and differ in the order of rows alone.")
    classes = len(task.train.class_names)
    if classes > 2 and not task.centered:
        mean = (1 - 2 / classes) ** 2
        notes.append(
            f"With {classes} classes each target column is mostly −1, so {mean:.0%} of ‖y‖² is its "
            "mean, and every layer with a strong common direction is aligned with that much from "
            "the start. What training adds shows above it."
        )
    return notes
