"""Where commands print: names as they are, and of characters that the console lacks a spelling in
ASCII.
"""

import codecs
import io
import os
import sys

from rich.console import Console

SPELLINGS = {
    **{
        "‖": "|",
        "²": "2",
        "−": "-",
        "–": "-",
        "·": ".",
        "•": "*",
        "’": "'",
        "\N{NO-BREAK SPACE}": " ",
    },
    **{"×": "x", "→": "->", "≥": ">=", "≤": "<=", "±": "+-", "√": "sqrt ", "∫": "int ", "…": "..."},
    **{"σ": "sigma", "τ": "tau", "Φ": "Phi", "Σ": "sum", "λ": "lambda", "η": "eta", "ᵀ": "'"},
    **dict.fromkeys("─━╸╺", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("╭╮╰╯", "+"),
    **dict.fromkeys("█▉▊▋▌▍▎▏▐▕", "#"),
}
"""What commands print beside ASCII."""


WIDE = 10_000
"""Characters of a line that no terminal breaks."""


def command_console(*, quiet: bool = False) -> Console:
    """The console of a command.

    Strings are not markup: names of files, layers and classes may hold brackets and colons. What
    has a style is a ``Text``, or says ``style=``. A pipe or a file has lines as long as they come,
    unless COLUMNS says how long.
    """
    console = Console(markup=False, emoji=False, quiet=quiet)
    columns = os.environ.get("COLUMNS", "")
    if not console.is_terminal and not (columns.isdecimal() and int(columns)):
        console.width = WIDE
    return console


def spell_what_cannot_be_shown() -> None:
    """Let standard output and errors spell characters that their encoding lacks (cp1252, ASCII)."""
    codecs.register_error(__name__, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=__name__)


def discard_output() -> None:
    """Send what is left of the output nowhere: who read it has closed it, as ``head`` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _spelled(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_bytes_of, error.object[error.start : error.end])), error.end


def _bytes_of(character: str) -> bytes:
    # A byte of a file's name that is not text, as Python reads it: it goes out as it came in.
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00])
    if character in SPELLINGS:
        return SPELLINGS[character].encode("ascii")
    return character.encode("ascii", "backslashreplace")
