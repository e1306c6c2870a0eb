"""How a command ends: 0, 1 with a line of why, or 130."""

import io
import os
import sys
import zipfile

import numpy as np
import pytest

from jaxalign.cli.main import main


@pytest.fixture
def fail(monkeypatch):
    """``fail(error)``: the next ``show`` raises it."""

    def arrange(error: BaseException) -> None:
        def show(config, console):
            raise error

        monkeypatch.setattr("jaxalign.cli.show.command.show", show)

    return arrange


ERRORS = [
    KeyError("missing"),
    RuntimeError("INTERNAL: a compiler\n*** Check failure stack trace ***\n@ 0x7f"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    AttributeError("'NoneType' object has no attribute 'shape'"),
    zipfile.BadZipFile("File is not a zip file"),
    np.exceptions.AxisError("axis 3 is out of bounds"),
    AssertionError(),
    ModuleNotFoundError("No module named 'wandb'"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_any_library_is_one_line(fail, capsys, error):
    fail(error)
    assert main(["show", "run"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"jaxalign: {type(error).__name__}")
    assert "--debug" in printed
    assert len(printed.splitlines()) == 1


def test_a_refused_input_is_told_in_its_own_words(fail, capsys):
    fail(ValueError("steps must be at least 1, found 0"))
    assert main(["show", "run"]) == 1
    assert capsys.readouterr().err == "jaxalign: steps must be at least 1, found 0\n"


@pytest.mark.parametrize("arguments", [["--debug", "show", "run"], ["show", "run", "--debug"]])
def test_debug_shows_the_traceback(fail, arguments):
    fail(KeyError("missing"))
    with pytest.raises(KeyError, match="missing"):
        main(arguments)


def test_an_interrupt_is_130(fail, capsys):
    for arguments in (["show", "run"], ["show", "run", "--debug"]):
        fail(KeyboardInterrupt())
        assert main(arguments) == 130
        assert capsys.readouterr().err == "jaxalign: interrupted\n"


def test_a_reader_that_has_gone_is_no_traceback(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(os.fdopen(writer, "wb"), encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["--version"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
