"""`jaxalign show RUN`: the summary of a run, also while it runs, of those of a sweep, of an
inspection, or of a comparison.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console


@dataclass(frozen=True)
class Show:
    """Print what a run found, layer by layer."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def show(config: Show, console: Console) -> int:
    """Print the summary of every run in the folder; returns the exit status."""
    # Imported here, so that the options above load no jax.
    from jaxalign.cli.train.runs import folders, show_run
    from jaxalign.comparison import read_comparison
    from jaxalign.comparison._folder import COMPARISON
    from jaxalign.inspection import read_inspection
    from jaxalign.inspection._folder import LAYERS
    from jaxalign.report.comparison.terminal import comparison_table
    from jaxalign.report.inspection.terminal import inspected_table

    if (config.run / COMPARISON).is_file():
        console.print(comparison_table(read_comparison(config.run)))
        return 0
    if (config.run / LAYERS).is_file():
        console.print(inspected_table(read_inspection(config.run)))
        return 0
    for folder in folders(config.run):
        show_run(folder, console)
    return 0
