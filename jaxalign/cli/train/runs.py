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

from jaxalign.cli.environment import environment
from jaxalign.cli.train.recipe import Train, Variant, as_settings, describe, from_settings
from jaxalign.data import Dataset
from jaxalign.report.run.figures import all_figures
from jaxalign.report.run.page import page
from jaxalign.report.run.sweep import sweep
from jaxalign.report.run.terminal import summary
from jaxalign.runs import History, RunWriter, read_history
from jaxalign.runs._folder import FIGURES, PAGE, read_config, read_result

CHECKPOINTS, SWEEP = "checkpoints", "sweep.png"


@dataclass(frozen=True)
class Run:
    """A run folder and which models of the program are its own.

    Attributes:
      writer: fills the folder.
      variant: the optimizer and step size of its models.
      models: their places in the program's history; None of the only one.
    """

    writer: RunWriter
    variant: Variant
    models: int | list[int] | None

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.writer.folder

    def write(self, part: History) -> None:
        """Append what is its own of a chunk."""
        self.writer.write(part if self.models is None else part.of(self.models))


def open_runs(
    config: Train, folder: Path, images: Dataset, monitored: Dataset, *, resume: bool
) -> list[Run]:
    """The runs of a configuration, each in ``folder``, or, of several variants, in a folder in it.
    Nothing is written yet.
    """
    seeds = config.seeds

    def models(i: int) -> int | list[int] | None:
        if config.models == 1:
            return None
        return i if seeds == 1 else list(range(i * seeds, (i + 1) * seeds))

    def writer(variant: Variant) -> RunWriter:
        optimizer = f"{variant.optimizer}-" if len(config.optimizer) > 1 else ""
        place = (
            folder
            if len(config.variants) == 1
            else folder / f"{optimizer}learning-rate-{variant.rate:g}"
        )
        about = _description(config, variant, images, monitored)
        return RunWriter(place, about, overwrite=config.overwrite, resume=resume)

    runs = [Run(writer(variant), variant, models(i)) for i, variant in enumerate(config.variants)]
    if config.overwrite:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return runs


def folders(folder: Path) -> Sequence[Path]:
    """The run folder itself, or those of its variants in it."""
    return sorted(file.parent for file in folder.glob("*learning-rate-*/config.json")) or [folder]


def begun(folder: Path) -> tuple[Train, bool]:
    """The configuration of the runs in a folder, to go on with, and whether all of them are
    finished.
    """
    held = folders(folder)
    config = from_settings(read_config(held[0])["train"], folder)
    whole = len(held) == len(config.variants)
    return config, whole and all(read_result(run).get("status") == "finished" for run in held)


def finish(
    runs: Sequence[Run],
    result: Mapping[str, Any],
    accuracies: Mapping[str, np.ndarray],
    console: Console,
) -> Path:
    """Write every run's result, pictures and page, and say what came out; returns the picture to
    look at first.
    """
    histories, picture = [], Path()
    for run in runs:
        chosen = slice(None) if run.models is None else run.models
        own = {
            name: np.round(values[chosen].astype(float), 4).tolist()
            for name, values in accuracies.items()
        }
        run.writer.finish(
            {
                **result,
                **(
                    own
                    if run.models is not None
                    else {name: value[0] for name, value in own.items()}
                ),
            }
        )
        histories.append(read_history(run.folder))
        described, told = read_config(run.folder), read_result(run.folder)
        picture = _write_report(run.folder, histories[-1], described, told)
        console.print()
        console.print(summary(histories[-1], described, told))
    if len(runs) > 1:
        picture = runs[0].folder.parent / SWEEP
        sweep({run.variant: history for run, history in zip(runs, histories, strict=True)}).savefig(
            picture, dpi=160
        )
    return picture


def _write_report(
    folder: Path, history: History, described: dict[str, Any], result: dict[str, Any]
) -> Path:
    """Draw a run's figures and write its page into its folder; returns the path of the first
    picture.
    """
    figures = all_figures(history)
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / FIGURES / f"{name}.png", dpi=160)
    (folder / PAGE).write_text(page(history, figures, described, result), encoding="utf-8")
    return folder / FIGURES / f"{next(iter(figures))}.png"


def _description(
    config: Train, variant: Variant, images: Dataset, monitored: Dataset
) -> dict[str, Any]:
    """config.json: the settings, what they mean for people, and what they ran on."""
    names, recipe = images.class_names, describe(config, images, variant)
    return {
        "title": f"{names[0]} against {names[1]}"
        if len(names) == 2
        else f"{len(names)} classes of Fashion-MNIST",
        "subtitle": f"{recipe['network']} · {recipe['optimizer']} · {recipe['images']}",
        "command": shlex.join(["jaxalign", *(sys.argv[1:] or ["train"])]),
        "steps": config.steps,
        "recipe": recipe,
        "train": as_settings(config),
        "monitor": {
            "size": len(monitored),
            "sha256": monitored.sha256(),
            "notes": _notes(names, len(monitored), len(images)),
        },
        "data": {"source": images.source, "size": len(images), "sha256": images.sha256()},
        "environment": environment(),
    }


def _notes(names: Sequence[str], monitored: int, trained: int) -> list[str]:
    """What to bear in mind about this monitored set, for the page."""
    some = "all" if monitored == trained else f"{monitored:,} of the"
    notes = [
        f"Measured on {some} {trained:,} training images, as in the paper; new images would give other curves."
    ]
    if len(names) > 2:
        mean = (1 - 2 / len(names)) ** 2
        notes.append(
            f"With {len(names)} classes each target column is mostly −1, so {mean:.0%} of ‖y‖² is its mean, and every layer "
            "with a strong common direction is aligned with that much from the start. What training adds shows above it."
        )
    return notes
