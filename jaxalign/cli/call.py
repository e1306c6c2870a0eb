"""What goes with every command: `--debug`, `--quiet`, `--config FILE`; and `--completion SHELL`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

DEBUG = "--debug"
QUIET = "--quiet"
CONFIG = "--config"
COMPLETION = "--completion"
SHELLS = ("bash", "zsh", "tcsh")


class Call(NamedTuple):
    """The arguments of a call, with those that go with every command taken out.

    Attributes:
      arguments: the command and its own options.
      quiet: whether nothing is printed but errors.
      file: with options of the command; None without one.
    """

    arguments: list[str]
    quiet: bool
    file: Path | None


def parsed(arguments: Sequence[str]) -> Call:
    """The Call of a command line.

    Raises:
      ValueError: `--config` without a file, or twice; `--completion` without a shell.
    """
    rest = [argument for argument in arguments if argument not in (DEBUG, QUIET)]
    rest, files = _taken_out(rest, CONFIG, "pass the file with it")
    rest, shells = _taken_out(rest, COMPLETION, f"pass {', '.join(SHELLS)} with it")
    if len(files) > 1:
        raise ValueError(
            f"{CONFIG} is for one file, found {', '.join(files)}; leave out the others"
        )
    for shell in shells:
        if shell not in SHELLS:
            raise ValueError(f"{COMPLETION} is for {', '.join(SHELLS)}, found {shell}")
        rest = ["--tyro-print-completion", shell]
    return Call(rest, QUIET in arguments, Path(files[0]) if files else None)


def _taken_out(arguments: list[str], name: str, remedy: str) -> tuple[list[str], list[str]]:
    """The other arguments, and the values of an option: `--name VALUE` or `--name=VALUE`."""
    rest: list[str] = []
    values: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == name:
            value = next(remaining, None)
            if value is None:
                raise ValueError(f"{name} has no value; {remedy}")
            values.append(value)
        elif argument.startswith(f"{name}="):
            values.append(argument.removeprefix(f"{name}="))
        else:
            rest.append(argument)
    return rest, values
