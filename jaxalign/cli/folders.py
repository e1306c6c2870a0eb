"""Where a command writes when no folder is named."""

from itertools import count
from pathlib import Path

RUNS = Path("runs")


def next_free_folder(command: str) -> Path:
    """The first of runs/COMMAND-1, runs/COMMAND-2, ... that does not exist."""
    candidates = (RUNS / f"{command}-{number}" for number in count(1))
    return next(folder for folder in candidates if not folder.exists())
