"""Going on with the runs that are in a folder: what they were, whether they can, and from where."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from jaxalign.cli.train.options import Train, from_settings
from jaxalign.cli.train.runs import CHECKPOINTS, Run, folders
from jaxalign.runs import read_config, read_history, read_result
from jaxalign.runs._folder import CONFIG
from jaxalign.training import Checkpoints


def saved_config(folder: Path) -> tuple[Train, bool]:
    """The configuration of the runs in a folder, and whether all of them are finished.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: a run that another version made, or not this command; a finished one that is
        damaged.
    """
    saved = folders(folder)
    content = read_config(saved[0])
    file = saved[0] / CONFIG
    if not isinstance(content.get("train"), dict):
        raise ValueError(f"{file} is of a run that `jaxalign train` did not make")
    try:
        config = from_settings(content["train"], folder)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} holds settings that no run can have ({error})") from None
    complete = len(saved) == len(config.variants)
    return config, complete and all(_is_finished(run, config.steps) for run in saved)


def _is_finished(folder: Path, steps: int) -> bool:
    try:
        status = read_result(folder).get("status")
    except ValueError:  # damaged: it is written again
        return False
    return status == "finished" and len(read_history(folder).step) == steps + 1


def require_rows(config: Train, folder: Path, runs: Sequence[Run]) -> None:
    """Before anything is trained: rows that were lost would be missing at the end."""
    step = _newest_checkpoint(folder)
    if step == 0:
        return
    is_last = step == config.steps
    needed = step + 1 if is_last else step
    for run in runs:
        rows = run.writer.rows
        if rows < needed or (is_last and rows > needed):
            raise ValueError(
                f"{run.folder} must hold the {needed} rows of its checkpoint at step {step}, found "
                f"{rows}; delete {folder / CHECKPOINTS / str(step)} to go on from the checkpoint "
                "before, or from step 0 if there is none"
            )


def where_it_goes_on(folder: Path) -> str:
    """How to go on with the runs in a folder, for a message."""
    step = _newest_checkpoint(folder)
    note = "" if step else ", since no checkpoint was saved yet"
    return f"jaxalign train --resume {shlex.quote(str(folder))} goes on from step {step:,}{note}"


def paths_of(folder: Path) -> str:
    """Where the files of a run to resume are looked for, for a message."""
    return (
        "; a run names its files from the folder in which its command was given: give this one "
        f"there, too, or write whole paths into {folders(folder)[0] / CONFIG}"
    )


def _newest_checkpoint(folder: Path) -> int:
    return max(Checkpoints(folder / CHECKPOINTS).steps(), default=0)
