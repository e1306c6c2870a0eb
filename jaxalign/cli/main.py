"""The entry point: subcommands from dataclasses, errors as one line, Ctrl-C as exit code 130."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich.console import Console

from jaxalign.cli.benchmark import Benchmark, benchmark
from jaxalign.cli.inspect.command import Inspect, inspect_model
from jaxalign.cli.inspect.layers import Layers, layers
from jaxalign.cli.show import Show, show
from jaxalign.cli.study.command import Study, study
from jaxalign.cli.train.command import Train, train

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Layers, tyro.conf.subcommand("layers")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
    | Annotated[Study, tyro.conf.subcommand("study")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 bad input, 130 interrupted; 2 is tyro's,
    for usage).
    """
    console = Console()
    try:
        command = tyro.cli(
            Command,
            prog="jaxalign",
            description="How much of the target lies along the top singular directions of each layer.",
            args=arguments,
        )
        match command:
            case Train():
                return train(command, console)
            case Inspect():
                return inspect_model(command, console)
            case Layers():
                return layers(command, console)
            case Show():
                return show(command, console)
            case Benchmark():
                return benchmark(command, console)
            case Study():
                return study(command, console)
    except (ValueError, OSError) as error:
        print(f"jaxalign: {error}", file=sys.stderr)
        return 1
