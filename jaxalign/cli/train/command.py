"""`jaxalign train`: from data to the page of the run, as a few lines of the public calls."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from rich.console import Console

from jaxalign.cli.folders import next_free_folder
from jaxalign.cli.train.devices import first_process, join_processes, mesh_of
from jaxalign.cli.train.options import WHERE, Train
from jaxalign.cli.train.recipe import Task, accuracies, load_task
from jaxalign.cli.train.resume import paths_of, require_rows, saved_config, where_it_goes_on
from jaxalign.cli.train.runs import Run, finish, open_runs
from jaxalign.cli.train.session import Outcome, train_task
from jaxalign.runs._folder import PAGE
from jaxalign.runs._place import local_folder


def train(config: Train, console: Console) -> int:
    """Run ``config``; returns the exit status: 0, or 130 after Ctrl-C or SIGTERM."""
    join_processes(config)
    resume = config.resume is not None
    if config.resume is not None:
        saved, finished = saved_config(config.resume)
        if finished:
            console.print(f"{config.resume} is finished: there is nothing to go on with.")
            return 0
        config = replace(saved, **{name: getattr(config, name) for name in WHERE})
    folder = local_folder(config.out or next_free_folder("train"))
    try:
        task = load_task(config)
    except FileNotFoundError as error:
        where = paths_of(folder) if resume else ""
        raise FileNotFoundError(f"{error}{where}") from None
    mesh = mesh_of(config)
    runs: list[Run] = []
    if first_process():
        console.print(f"Data:    {task.train.source}", highlight=False, soft_wrap=True)
        runs = open_runs(config, folder, task, resume=resume)
        require_rows(config, folder, runs)
    else:
        console = Console(quiet=True, force_terminal=False)
    outcome = train_task(config, task, mesh, folder, runs, console)
    result = _result(config, task, mesh, outcome)
    if runs:
        _report(config, folder, runs, result, console)
    return 0 if outcome.state is not None else 130


def _result(config: Train, task: Task, mesh: Mesh | None, outcome: Outcome) -> dict[str, Any]:
    """result.json of all runs together; made by all processes, since networks may lie apart."""
    result: dict[str, Any] = {
        "status": "interrupted" if outcome.state is None else "finished",
        "steps_done": outcome.last_step,
        "wall_seconds": round(outcome.seconds, 2),
    }
    if not math.isnan(outcome.steps_per_second):
        result["steps_per_second"] = round(outcome.steps_per_second, 1)
    if outcome.state is not None:
        everywhere = None if mesh is None else NamedSharding(mesh, P())
        result |= accuracies(config, task, outcome.state, everywhere)
    return result


def _report(
    config: Train, folder: Path, runs: Sequence[Run], result: dict[str, Any], console: Console
) -> None:
    """Write every run's result, pictures and page, and print what came out."""
    interrupted = result["status"] == "interrupted"
    # A run writes nothing before its first chunk, so there may be no folder to report in.
    if interrupted and not runs[0].writer.begun:
        console.print("Interrupted before the first step was done: nothing was written.")
        return
    picture = finish(runs, result, console)
    if interrupted:
        console.print(
            f"\nInterrupted at step {result['steps_done']:,} of {config.steps:,}; "
            f"the rows up to there are kept and readable, and {where_it_goes_on(folder)}.",
            highlight=False,
            soft_wrap=True,
        )
    _print_paths(picture, [run.folder / PAGE for run in runs], console)


def _print_paths(picture: Path, pages: Sequence[Path], console: Console) -> None:
    lines = "\nPage:    ".join(map(str, pages))
    console.print(f"\nPicture: {picture}\nPage:    {lines}", highlight=False, soft_wrap=True)
