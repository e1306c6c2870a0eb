"""Several processes on this host, as `jax.distributed` joins them on a cluster."""

from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("process.py")


@pytest.mark.slow
@pytest.mark.parametrize(("task", "answers"), [("stream", 3), ("mesh", 3)])
def test_processes_agree_with_one(joined_processes, task, answers):
    for status, output in joined_processes(SCRIPT, task):
        assert status == 0, output[-2000:]
        assert output.count("agrees") == answers


@pytest.mark.slow
def test_a_peer_that_dies_is_an_error_and_no_hang(joined_processes):
    survivor, dead = joined_processes(SCRIPT, "die")
    assert dead[0] == 3
    assert survivor[0] != 0
    assert "agrees" not in survivor[1]
