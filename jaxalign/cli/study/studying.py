"""Runs studies one after another for `jaxalign study`: progress, what to install, the table and the
page in the end.
"""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from jaxalign.cli.environment import environment
from jaxalign.studies.framework.catalogue import study
from jaxalign.studies.framework.results import FIGURE, Finished, read_results
from jaxalign.studies.framework.run import run
from jaxalign.studies.framework.study import Cell, Size, Value
from jaxalign.studies.report.page import PAGE, claims_page
from jaxalign.studies.report.terminal import claims_table

LINES = 20  # a study, where there is no terminal
INSTALL = 'pip install "jaxalign[studies]"'


def put_to_the_test(names: Sequence[str], size: Size, out: Path, console: Console) -> int:
    """Run studies of these names into ``out``; one that cannot be run does not stop the others.
    Returns the exit status.
    """
    here = environment()
    finished, failed, interrupted = [], [], None
    for name in names:
        command = _command(name, size, out)
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
            finished.append(name)
        except KeyboardInterrupt:
            interrupted = name
            break
        except (ImportError, OSError, ValueError) as error:
            print(f"jaxalign: {name}: {_told(error)}", file=sys.stderr)
            failed.append(name)
    results = write_page(out)
    if finished:
        console.print("", claims_table({name: results[name] for name in finished}))
    if results:
        console.print(f"Page: {out / PAGE}", highlight=False, soft_wrap=True)
    if failed:
        console.print(
            f"Could not be run, for the reasons above: {', '.join(failed)}", highlight=False
        )
    if interrupted:
        console.print(
            f"Interrupted in {interrupted}: the same command goes on with the cell that it was at.",
            highlight=False,
        )
        return 130
    return 1 if failed else 0


def write_page(out: Path) -> dict[str, Finished]:
    """Write the page of what is finished in a folder, if anything is; returns that."""
    if results := read_results(out):
        pictures = {name: (out / name / FIGURE).read_bytes() for name in results}
        (out / PAGE).write_text(claims_page(results, pictures), encoding="utf-8")
    return results


def in_words(cell: Cell) -> str:
    """A cell for people: {"network": "CNN", "depth": 3} is "CNN, depth 3"."""
    return ", ".join(
        value if isinstance(value, str) else f"{name} {_short(value)}"
        for name, value in cell.items()
    )


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _command(name: str, size: Size, out: Path) -> str:
    where = [] if out == Path("studies") else ["--out", str(out)]
    return shlex.join(["jaxalign", "study", name, "--size", size, *where])


def _told(error: Exception) -> str:
    """The message of an error; of a package that is missing, with what installs it."""
    needs_package = isinstance(error, ImportError) and "pip install" not in str(error)
    return f"{error}; {INSTALL}" if needs_package else str(error)


@contextmanager
def _progress(console: Console, name: str) -> Iterator[Callable[[int, int, Cell], None]]:
    """Shows which cell of how many is measured: a bar in a terminal, a few lines elsewhere."""
    if not console.is_terminal:

        def tell(done: int, cells: int, cell: Cell) -> None:
            if done == 0 or done * LINES // cells > (done - 1) * LINES // cells:
                console.print(
                    f"{name}: cell {done + 1} of {cells}: {in_words(cell)}",
                    highlight=False,
                    soft_wrap=True,
                )

        yield tell
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    left = (TextColumn("·"), TimeRemainingColumn(), TextColumn("left"))
    cell_column = TextColumn(
        "{task.fields[cell]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
    )
    with Progress(*columns, *left, cell_column, console=console, expand=True) as bar:

        def move(done: int, cells: int, cell: Cell) -> None:
            if not bar.tasks:
                bar.add_task(name, total=cells, completed=done, cell="")
            bar.update(bar.tasks[0].id, completed=done, cell=escape(in_words(cell)))

        yield move
        for task in bar.tasks:
            bar.update(task.id, completed=task.total, cell="")
