"""`jaxalign show RUN`: the summary of a run, also while it runs."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxalign.report.terminal import summary
from jaxalign.training.run_folder import PAGE, read_config, read_history, read_result


@dataclass(frozen=True)
class Show:
    """Print what a run found, layer by layer."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def show(config: Show, console: Console) -> int:
    history = read_history(config.run)
    if len(history.step) == 0:
        raise ValueError(f"{config.run} has no row yet; ask again when its first chunk is done")
    console.print(summary(history, read_config(config.run), read_result(config.run)))
    if (config.run / PAGE).is_file():
        console.print(f"\nPage: {config.run / PAGE}", highlight=False)
    return 0
