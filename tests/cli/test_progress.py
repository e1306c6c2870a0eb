import io

from rich.console import Console

from jaxalign.cli.progress import Lines, progress_bar


def test_lines_come_at_the_start_at_the_end_and_evenly_between():
    lines = Lines(1000, 5)
    due = [done for done in range(0, 1001, 64) if lines.due(done)] + [1000] * lines.due(1000)
    assert due[0] == 0
    assert due[-1] == 1000
    assert 5 <= len(due) <= 7


def test_a_bar_shows_how_many_of_how_many():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_bar(console) as bar:
        bar.add_task("reading", total=8, completed=3)
    assert "reading" in console.file.getvalue()
    assert "3/8" in console.file.getvalue()
