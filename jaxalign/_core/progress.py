"""A progress bar as all of the package shows it."""

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bar(
    console: Console | None, *columns: ProgressColumn, width: int | None = None, **settings: Any
) -> Progress:
    """A bar with a description, how many of how many, the time taken and the time left; further
    columns come last. Descriptions are not markup.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=width),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("·"),
        TimeRemainingColumn(),
        TextColumn("left"),
        *columns,
        console=console,
        **settings,
    )
