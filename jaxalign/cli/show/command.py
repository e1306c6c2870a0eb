"""`jaxalign show RUN`: the summary of a run, also while it runs, of those of a sweep, of an
inspection, or of a comparison; `jaxalign show RUN RUN` sets runs side by side.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from jaxalign.cli.folders import next_free_folder
from jaxalign.cli.show.numbers import print_csv, print_json, print_other_csv, print_other_json
from jaxalign.cli.show.options import Show
from jaxalign.cli.train.runs import folders, show_run
from jaxalign.comparison import read_comparison
from jaxalign.comparison._folder import COMPARISON
from jaxalign.inspection import read_inspection
from jaxalign.inspection._folder import LAYERS
from jaxalign.report.comparison.terminal import comparison_table
from jaxalign.report.inspection.terminal import inspected_table
from jaxalign.report.runs.differences import differences
from jaxalign.report.runs.page import runs_page
from jaxalign.report.runs.read import NamedRun, read_run
from jaxalign.report.runs.terminal import differences_table
from jaxalign.runs._folder import PAGE
from jaxalign.runs._place import require_writable


def show(config: Show, console: Console) -> int:
    """Print the summary of every run in the folders; returns the exit status."""
    several = len(config.runs) > 1
    for folder in config.runs:
        _require_whole_run(folder)
        if _is_other(folder) and several:
            raise ValueError(
                f"{folder} is not a run but an inspection or a comparison; show it by itself"
            )
    if _is_other(config.runs[0]):
        _show_other(config, console)
        return 0
    names = [run for folder in config.runs for run in folders(folder)]
    if config.json:
        print_json([read_run(folder) for folder in names], compare=several)
    elif config.csv:
        print_csv([read_run(folder) for folder in names])
    elif several:
        _side_by_side(config, [read_run(folder) for folder in names], console)
    else:
        for folder in names:
            show_run(folder, console)
    return 0


def _require_whole_run(folder: Path) -> None:
    run, at, step = str(folder).rpartition("@")
    if at and not folder.exists() and Path(run).is_dir():
        raise ValueError(
            f"a run is shown as a whole, found {folder}; leave out @{step}, which is for "
            "`jaxalign compare`"
        )


def _is_other(folder: Path) -> bool:
    return (folder / COMPARISON).is_file() or (folder / LAYERS).is_file()


def _show_other(config: Show, console: Console) -> None:
    """Print an inspection or a comparison."""
    (folder,) = config.runs
    if config.json:
        print_other_json(folder)
    elif config.csv:
        print_other_csv(folder)
    elif (folder / COMPARISON).is_file():
        console.print(comparison_table(read_comparison(folder)), crop=False)
    else:
        console.print(inspected_table(read_inspection(folder)), crop=False)


def _side_by_side(config: Show, runs: Sequence[NamedRun], console: Console) -> None:
    """Print how runs differ, and write the page of their curves."""
    folder = config.out or next_free_folder("show")
    require_writable(folder)
    found = differences(runs)
    if (folder / PAGE).exists():
        raise FileExistsError(f"out folder {folder} already holds {PAGE}; name another one")
    console.print(differences_table(found), crop=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(runs_page(found), encoding="utf-8")
    console.print(f"\nPage: {folder / PAGE}\n", highlight=False, soft_wrap=True)
