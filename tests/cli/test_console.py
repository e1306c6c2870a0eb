"""Consoles of any encoding show what is printed, and names as they are."""

import io
import sys
from pathlib import Path

import pytest
from rich.progress import TextColumn

from jaxalign.cli.console import SPELLINGS, command_console
from jaxalign.cli.main import main
from jaxalign.cli.progress import progress_bar

HOSTILE = ["run[lr=0.1]", "[/b]", "[red]x", "a:smile:b", r"\[bold]", "w$_{1$", "[@click=f]"]


@pytest.fixture
def printed(monkeypatch):
    """``printed(encoding, arguments)``: the exit status and what a console of it shows."""

    def run(encoding: str, arguments: list[str]) -> tuple[int | str | None, str]:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        try:
            status: int | str | None = main(arguments)
        except SystemExit as end:  # of help
            status = end.code
        stream.flush()
        return status, stream.buffer.getvalue().decode(encoding)

    return run


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
@pytest.mark.parametrize("command", ["--version", "--help", "train --help", "study"])
def test_a_console_of_any_encoding_shows_it(printed, encoding, command):
    status, text = printed(encoding, command.split())
    assert status == 0
    assert text.strip()
    assert "\\u" not in text
    if command == "train --help":
        assert ("τ" if encoding in ("utf-8", "cp437") else "tau") in text


@pytest.mark.parametrize("command", ["train", "inspect", "layers", "study", "benchmark", "show"])
def test_help_breaks_lines_where_the_console_ends_and_nowhere_else(printed, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "2000")
    _, text = printed("utf-8", [command, "--help"])
    boxed = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    described = [line for line in boxed if "  " in line or line[:1] not in ("", "-")]
    assert len(described) > 3
    cut = [line for line in described if line[-1] not in ")." and "  show this" not in line]
    assert not any(line.endswith("(default: )") for line in boxed)
    assert [line for line in cut if not line.startswith("[[")] == []


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_the_summary_of_a_run_is_spelled(printed, trained, encoding):
    status, text = printed(encoding, ["show", str(trained.folder)])
    assert status == 0
    assert "area/|y|" in text
    assert "->" in text
    assert "\\u" not in text


@pytest.mark.parametrize(("columns", "widest"), [(None, 200), ("60", 60), ("x", 200), ("0", 200)])
def test_a_pipe_has_whole_lines_unless_columns_says_how_long(monkeypatch, columns, widest):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    command_console().print("x" * 200)
    assert max(map(len, sys.stdout.getvalue().splitlines())) == widest


def test_spellings_are_ascii():
    assert all(spelling.isascii() for spelling in SPELLINGS.values())
    assert not any(character.isascii() for character in SPELLINGS)


def test_bytes_of_a_file_name_that_are_no_text_go_out_as_they_came_in(monkeypatch):
    for encoding in ("utf-8", "ascii"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["--version"]) == 0
        print("caf\udce9", end="")
        stream.flush()
        assert stream.buffer.getvalue().endswith(b"caf\xe9")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_printed_as_they_are(capsys, name):
    console = command_console()
    console.print(f"Page: {Path('runs') / name}", soft_wrap=True)
    with progress_bar(console, TextColumn("", markup=False)) as bar:
        bar.add_task(name)
    shown = capsys.readouterr().out
    assert shown.count(name) == 2


def test_a_command_without_an_output_ends_without_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["--version"]) == 0
    assert capsys.readouterr().err == ""
