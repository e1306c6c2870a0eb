"""The entry point: subcommands from dataclasses, every error as one line, Ctrl-C and SIGTERM as
exit code 130.

Only the options are imported here. A command's work, and jax with it, is imported when it runs, so
that ``--help`` and ``--version`` are quick.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxalign import __version__
from jaxalign.cli.benchmark.options import Benchmark
from jaxalign.cli.call import DEBUG, Call, parsed
from jaxalign.cli.checks import in_options
from jaxalign.cli.compare.options import Compare
from jaxalign.cli.compilation_cache import use_compilation_cache
from jaxalign.cli.console import command_console, discard_output, spell_what_cannot_be_shown
from jaxalign.cli.inspect.options import Inspect, Layers
from jaxalign.cli.interrupts import on_interrupt
from jaxalign.cli.settings import options_from
from jaxalign.cli.show.options import Show
from jaxalign.cli.study.options import Study
from jaxalign.cli.train.options import Train

DESCRIPTION = """How much of the target lies along the top singular directions of each layer.

Every command takes --help; --debug, which shows the traceback of an error; and --quiet, which
prints nothing but errors. Every command except show takes --config FILE, which reads options from
TOML, JSON, or the config.json of a run; options of the command line override them.

`jaxalign --version` prints the version, `jaxalign --completion bash` (zsh, tcsh) a script that
completes commands and options."""

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Layers, tyro.conf.subcommand("layers")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
    | Annotated[Study, tyro.conf.subcommand("study")]
)

WITH_FILE = {
    "train": Train,
    "inspect": Inspect,
    "compare": Compare,
    "layers": Layers,
    "benchmark": Benchmark,
    "study": Study,
}
"""The commands whose options may come from a file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 refused or failed, 130 interrupted; 2 is
    tyro's, for usage).
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = DEBUG in arguments
    spell_what_cannot_be_shown()
    try:
        try:
            with on_interrupt():
                return _run(parsed(arguments))
        finally:
            # Here a reader that has gone is an error like others; at the exit it would be Python's.
            # A process whose output was closed before it began has none.
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        print("jaxalign: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            discard_output()
        if debug:
            raise
        message = _in_options(_message(error), arguments)
        print(f"jaxalign: {message}", file=sys.stderr)
        return 1


def _message(error: Exception) -> str:
    """The message of an error; its type, too, where nothing says that an input was refused."""
    if type(error) is ValueError or isinstance(error, OSError):
        return str(error)
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line} ({DEBUG} shows where)"


def _in_options(message: str, arguments: Sequence[str]) -> str:
    """A message that names options, where those of the library name arguments."""
    commands = {**WITH_FILE, "show": Show}
    command = next((argument for argument in arguments if argument in commands), None)
    return message if command is None else in_options(message, commands[command])


def _command(call: Call) -> Command:
    if call.file is not None:
        return options_from(call.file, WITH_FILE, call.arguments)
    return tyro.cli(Command, prog="jaxalign", description=DESCRIPTION, args=call.arguments)


def _run(call: Call) -> int:
    if call.arguments == ["--version"]:
        print(__version__)
        return 0
    command = _command(call)
    console = command_console(quiet=call.quiet)
    use_compilation_cache()
    # Each import takes seconds: jax, flax, and for pictures matplotlib.
    match command:
        case Train():
            from jaxalign.cli.train.command import train

            return train(command, console)
        case Inspect():
            from jaxalign.cli.inspect.command import inspect_model

            return inspect_model(command, console)
        case Compare():
            from jaxalign.cli.compare.command import compare_models

            return compare_models(command, console)
        case Layers():
            from jaxalign.cli.inspect.layers import layers

            return layers(command, console)
        case Benchmark():
            from jaxalign.cli.benchmark.command import benchmark

            return benchmark(command, console)
        case Study():
            from jaxalign.cli.study.command import study

            return study(command, console)
        case Show():
            from jaxalign.cli.show.command import show

            return show(command, console)
