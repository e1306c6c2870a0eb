"""Options load no jax: neither help nor version waits for it."""

import subprocess
import sys

import pytest

import jaxalign
from jaxalign.cli.main import main

HEAVY = {"jax", "flax", "optax", "numpy", "scipy", "matplotlib", "orbax"}


def modules_after(*arguments: str) -> tuple[str, set[str]]:
    """What the command prints, and the top-level modules it has loaded in the end."""
    code = (
        "import sys\n"
        "from jaxalign.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    print('\\0', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120
    )
    printed, _, modules = done.stdout.partition("\0")
    return printed, set(modules.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "train"),
        (["--version"], jaxalign.__version__),
        (["train", "--help"], "--monitor-size"),
        (["inspect", "--help"], "--centered"),
    ],
)
def test_help_and_version_load_no_jax(arguments, expected):
    printed, modules = modules_after(*arguments)
    assert expected in printed
    assert "jaxalign" in modules
    assert not HEAVY & modules


def test_an_error_in_the_options_loads_no_jax():
    _, modules = modules_after("train", "--steps", "0")
    assert "tyro" in modules
    assert not HEAVY & modules


def test_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{jaxalign.__version__}\n"
