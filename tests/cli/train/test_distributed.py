"""`jaxalign train --distributed` on two processes of this host: the log of one, written by one."""

import os
import socket
import subprocess
import sys
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


def together(*arguments: str, second: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Exit status and output of both processes, of which the second may be asked for more."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        sys.executable,
        "-m",
        "jaxalign",
        "train",
        "--distributed",
        "--coordinator",
        address,
        "--processes",
        "2",
    ]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [*command, "--process", str(i), *arguments, *own],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        for i, own in enumerate(((), second))
    ]
    try:
        return [(process.wait(TIMEOUT), process.stdout.read()) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.slow
def test_two_processes_log_what_one_does(tmp_path):
    settings = ["train", *SETTINGS, "--seeds", "2"]
    assert main([*settings, "--devices", "1", "--out", str(tmp_path / "one")]) == 0
    first, second = together(*SETTINGS, "--seeds", "2", "--out", str(tmp_path / "two"))
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
def test_devices_that_do_not_divide_the_batch_are_an_error_in_both(tmp_path):
    for status, output in together(*SETTINGS, "--batch-size", "33", "--out", str(tmp_path / "run")):
        assert status == 1
        assert "take 32 or 34" in " ".join(output.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_that_are_asked_for_other_runs_are_told_in_both(tmp_path):
    run = [*SETTINGS, "--out", str(tmp_path / "run")]
    for status, output in together(*run, second=["--seed", "1", "--monitor-size", "80"]):
        assert status == 1
        assert "seeds, models, monitored data in process 1" in " ".join(output.split())
