"""`jaxalign show RUN`: the summary of a run, also while it runs, of those of a sweep, or of an
inspection.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxalign.cli.train.runs import folders
from jaxalign.inspection import read_inspection
from jaxalign.inspection._folder import LAYERS
from jaxalign.report.inspection.terminal import inspected_table
from jaxalign.report.run.terminal import summary
from jaxalign.runs import read_history
from jaxalign.runs._folder import PAGE, read_config, read_result


@dataclass(frozen=True)
class Show:
    """Print what a run found, layer by layer."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def show(config: Show, console: Console) -> int:
    if (config.run / LAYERS).is_file():
        console.print(inspected_table(read_inspection(config.run)))
        return 0
    for folder in folders(config.run):
        history = read_history(folder)
        if len(history.step) == 0:
            raise ValueError(f"{folder} has no row yet; ask again when its first chunk is done")
        console.print(summary(history, read_config(folder), read_result(folder)))
        if (folder / PAGE).is_file():
            console.print(f"\nPage: {folder / PAGE}\n", highlight=False, soft_wrap=True)
    return 0
