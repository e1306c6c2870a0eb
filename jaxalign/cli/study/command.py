"""`jaxalign study NAME...`: the paper's claims put to the test, or a list of them."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console, Group
from rich.table import Table

from jaxalign.cli.study.studying import put_to_the_test
from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.study import Size


@dataclass(frozen=True)
class Study:
    """Put claims of the paper to the test, each on real data, with several seeds; without a name,
    list them.

    A study can be interrupted, and goes on when the same command is given again. In the end,
    claims.html in the out folder shows every study that is finished there.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Which of emergence, depth, layers, pretrained, labels, speed, transfer, demo."""
    all: bool = False
    """All of them."""
    size: Size = "small"
    """small: about two minutes each on two cores; paper: more seeds, samples and steps, for an
    accelerator.
    """
    out: Path = Path("studies")
    """Where each gets a folder of its name, with table.csv, result.json, figure.png and, to go on
    from, cells.jsonl.
    """


def study(config: Study, console: Console) -> int:
    """Run ``config``; returns the exit status: 0 whatever the verdicts, 1 if a study could not be
    run, 130 after Ctrl-C.
    """
    if unknown := [name for name in config.names if name not in STUDIES]:
        raise ValueError(
            f"there is no study {unknown[0]!r}; studies are {', '.join(STUDIES)} (`jaxalign study` tells what of)"
        )
    names = tuple(STUDIES) if config.all else tuple(dict.fromkeys(config.names))
    if not names:
        console.print(_list())
        return 0
    return put_to_the_test(names, config.size, config.out, console)


def _list() -> Group:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("study", no_wrap=True)
    table.add_column("claim")
    for name, claim in STUDIES.items():
        table.add_row(name, claim)
    return Group(table, "", "Run some: jaxalign study NAME NAME; all: jaxalign study --all")
