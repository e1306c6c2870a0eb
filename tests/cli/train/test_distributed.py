"""`jaxalign train --distributed` on two processes of this host: the log of one, written by one."""

import json
from collections.abc import Sequence

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign.cli.main import main

SETTINGS = [
    "--num-samples",
    "200",
    "--width",
    "16",
    "--depth",
    "2",
    "--monitor-size",
    "100",
    "--steps",
    "20",
    "--checkpoint-every",
    "10",
]
TIMEOUT = 240
# Several commands in one process, which `jax.distributed` may join with others once. It prints
# their exit statuses, and has that of the last.
COMMANDS = """
import json, sys
from functools import cache
import jax
from jaxalign.cli.main import main
jax.distributed.initialize = cache(jax.distributed.initialize)
statuses = [main([*sys.argv[2:], *arguments]) for arguments in json.loads(sys.argv[1])]
print(statuses)
sys.exit(statuses[-1])
"""


@pytest.fixture
def together(joined_commands):
    """Exit status and output of both processes, which run all commands one after the other; the
    second process is asked for more in the last of them.
    """

    def run(*commands: Sequence[str], second: Sequence[str] = ()) -> list[tuple[int, str]]:
        *first, last = commands

        def command(address: str, process: int) -> list[str]:
            own = json.dumps([*first, [*last, *((), second)[process]]])
            joined = ["--distributed", "--coordinator", address, "--processes", "2"]
            return ["-c", COMMANDS, own, "train", *joined, "--process", str(process)]

        return joined_commands(command, TIMEOUT)

    return run


@pytest.mark.slow
def test_two_processes_log_what_one_does(together, tmp_path):
    settings = ["train", *SETTINGS, "--seeds", "2"]
    assert main([*settings, "--devices", "1", "--out", str(tmp_path / "one")]) == 0
    first, second = together([*SETTINGS, "--seeds", "2", "--out", str(tmp_path / "two")])
    assert first[0] == second[0] == 0, first[1] + second[1]
    assert "Picture" in first[1]
    assert "step" not in second[1]  # one process speaks
    expected, found = ja.read_history(tmp_path / "one"), ja.read_history(tmp_path / "two")
    assert found.models == expected.models
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = float(np.abs(y).max(initial=0))
        np.testing.assert_allclose(
            np.ravel(x)[:1], np.ravel(y)[:1], rtol=1e-6, atol=1e-6 * scale
        )  # before any update
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.slow
def test_an_error_is_told_in_both_processes(together, tmp_path):
    """Of devices that do not divide the batch, and of processes that are asked for other runs."""
    run = [*SETTINGS, "--out", str(tmp_path / "run")]
    other = ["--seed", "1", "--monitor-size", "80"]
    for status, output in together([*run, "--batch-size", "33"], run, second=other):
        assert status == 1
        assert output.endswith("[1, 1]\n"), output
        printed = " ".join(output.split())
        assert "take 32 or 34" in printed
        assert "seeds, models, monitored data in process 1" in printed
    assert not (tmp_path / "run").exists()
