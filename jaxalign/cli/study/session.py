"""Runs studies one after another: progress, what to install, the table and the page in the end."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import TextColumn
from rich.table import Column

from jaxalign.cli.environment import environment
from jaxalign.cli.progress import Lines, progress_bar
from jaxalign.runs._place import require_writable
from jaxalign.studies.framework.catalogue import STUDIES, study
from jaxalign.studies.framework.rejudge import rejudge
from jaxalign.studies.framework.results import RESULT, Finished, read_picture, read_results
from jaxalign.studies.framework.run import run
from jaxalign.studies.framework.study import Cell, Size, Value
from jaxalign.studies.report.page import PAGE, claims_page
from jaxalign.studies.report.terminal import claims_table
from jaxalign.studies.shared.outside import FOLDER

LINES = 20
"""Lines of a study where there is no terminal, beside the first."""
INSTALL = 'pip install "jaxalign[studies]"'


class Ended(NamedTuple):
    """How the studies ended, by name."""

    finished: list[str]
    failed: list[str]
    interrupted: str | None


def put_to_the_test(names: Sequence[str], size: Size, out: Path, console: Console) -> int:
    """Run studies of these names into ``out``; one that cannot be run does not stop the others.
    Returns the exit status.
    """
    require_writable(out)
    ended = _run_all(names, size, out, console)
    results = write_page(out)
    if ended.finished:
        console.print("", claims_table({name: results[name] for name in ended.finished}))
    if results:
        console.print(f"Page: {out / PAGE}", highlight=False, soft_wrap=True)
    if ended.failed:
        console.print(
            f"Could not be run, for the reasons above: {', '.join(ended.failed)}", highlight=False
        )
    if ended.interrupted is not None:
        console.print(
            f"Interrupted in {ended.interrupted}: the same command goes on with the cell that it "
            "was at.",
            highlight=False,
        )
        return 130
    return 1 if ended.failed else 0


def use_data(folder: Path) -> None:
    """Let studies find data that do not come with the package in this folder."""
    if not folder.is_dir():
        raise ValueError(f"--data must be a folder, found {folder}")
    os.environ[FOLDER] = str(folder.resolve())


def report(names: Sequence[str], out: Path, console: Console) -> int:
    """Judge studies again from their tables, of all that are finished if none is named."""
    finished = [name for name in STUDIES if (out / name / RESULT).is_file()]
    if missing := [name for name in names if name not in finished]:
        raise ValueError(
            f"{out} holds no result of {', '.join(missing)}; finished are: "
            f"{', '.join(finished) or 'none'}"
        )
    if not finished:
        raise ValueError(f"{out} holds no finished study; run one, or name another folder")
    again = {name: rejudge(study(name), out / name) for name in names or finished}
    write_page(out)
    console.print(claims_table(again))
    console.print(f"Page: {out / PAGE}", highlight=False, soft_wrap=True)
    return 0


def write_page(out: Path) -> dict[str, Finished]:
    """Write the page of what is finished in a folder, if anything is; returns that."""
    results = read_results(out)
    if results:
        drawings = {name: read_picture(out / name) for name in results}
        (out / PAGE).write_text(claims_page(results, drawings), encoding="utf-8")
    return results


def in_words(cell: Cell) -> str:
    """A cell for people: {"network": "CNN", "depth": 3} is "CNN, depth 3"."""
    return ", ".join(
        value if isinstance(value, str) else f"{name} {_short(value)}"
        for name, value in cell.items()
    )


def _run_all(names: Sequence[str], size: Size, out: Path, console: Console) -> Ended:
    here = environment()
    finished: list[str] = []
    failed: list[str] = []
    for name in names:
        command = _command(name, size)
        try:
            with _progress(console, name) as progress:
                run(
                    study(name),
                    size,
                    out / name,
                    environment=here,
                    command=command,
                    progress=progress,
                )
        except KeyboardInterrupt:
            return Ended(finished, failed, name)
        except (ImportError, OSError, ValueError) as error:
            print(f"jaxalign: {name}: {_message(error)}", file=sys.stderr)
            failed.append(name)
        else:
            finished.append(name)
    return Ended(finished, failed, None)


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _command(name: str, size: Size) -> str:
    """What measures a study again; where folders are says nothing elsewhere."""
    command = f"jaxalign study {name} --size {size}"
    return f"{command} --data FOLDER" if FOLDER in os.environ else command


def _message(error: Exception) -> str:
    """The message of an error; of a package that is missing, with what installs it."""
    needs_package = isinstance(error, ImportError) and "pip install" not in str(error)
    return f"{error}; {INSTALL}" if needs_package else str(error)


@contextmanager
def _progress(console: Console, name: str) -> Iterator[Callable[[int, int, Cell], None]]:
    """Shows which cell of how many is measured: a bar in a terminal, a few lines elsewhere."""
    if not console.is_terminal:
        lines: list[Lines] = []

        def print_line(done: int, cells: int, cell: Cell) -> None:
            if not lines:
                lines.append(Lines(cells, LINES))
            if lines[0].due(done):
                text = f"{name}: cell {done + 1} of {cells}: {in_words(cell)}"
                console.print(text, highlight=False, soft_wrap=True)

        yield print_line
        return
    column = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    cell_column = TextColumn("{task.fields[cell]}", table_column=column, markup=False)
    with progress_bar(console, cell_column, width=24, expand=True) as bar:

        def move(done: int, cells: int, cell: Cell) -> None:
            if not bar.tasks:
                bar.add_task(name, total=cells, completed=done, cell="")
            bar.update(bar.tasks[0].id, completed=done, cell=in_words(cell))

        yield move
        for task in bar.tasks:
            bar.update(task.id, completed=task.total, cell="")
