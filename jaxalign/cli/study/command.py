"""`jaxalign study NAME...`: the paper's claims put to the test, or a list of them."""

from rich.console import Console, Group
from rich.table import Table

from jaxalign.cli.study.options import Study
from jaxalign.studies.framework.catalogue import STUDIES


def study(config: Study, console: Console) -> int:
    """Run ``config``; returns the exit status: 0 whatever the verdicts, 1 if a study could not be
    run, 130 after Ctrl-C.
    """
    unknown = [name for name in config.names if name not in STUDIES]
    if unknown:
        raise ValueError(
            f"there is no study {unknown[0]!r}; studies are {', '.join(STUDIES)} "
            "(`jaxalign study` lists their claims)"
        )
    names = tuple(STUDIES) if config.all else tuple(dict.fromkeys(config.names))
    if config.report:
        from jaxalign.cli.study.session import report

        return report(names, config.out, console)
    if not names:
        console.print(_list())
        return 0
    # The list above needs neither jax nor a picture library.
    from jaxalign.cli.study.session import put_to_the_test, use_data

    if config.data is not None:
        use_data(config.data)
    return put_to_the_test(names, config.size, config.out, console)


def _list() -> Group:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("study", no_wrap=True)
    table.add_column("claim")
    for name, claim in STUDIES.items():
        table.add_row(name, claim)
    return Group(table, "", "Run some: jaxalign study NAME NAME; all: jaxalign study --all")
