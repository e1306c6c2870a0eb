"""Several processes on this host, as `jax.distributed` joins them on a cluster."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT = 90


def start(task: str, processes: int = 2) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(Path(__file__).with_name("process.py")), address, str(processes)]
    return [
        subprocess.Popen(
            [*command, str(i), task], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for i in range(processes)
    ]


def outcome(running: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit status and output of each; a process that is still there at the time-out fails the test,
    and is ended.
    """
    try:
        return [(p.wait(TIMEOUT), p.stdout.read()) for p in running]
    finally:
        for p in running:
            p.kill()
            p.wait()
            p.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "answers"), [("stream", 3), ("mesh", 3)])
def test_processes_agree_with_one(task, answers):
    for status, output in outcome(start(task)):
        assert status == 0, output[-2000:]
        assert output.count("agrees") == answers


@pytest.mark.slow
def test_a_peer_that_dies_is_an_error_and_no_hang():
    survivor, dead = outcome(start("die"))
    assert dead[0] == 3
    assert survivor[0] != 0
    assert "agrees" not in survivor[1]
