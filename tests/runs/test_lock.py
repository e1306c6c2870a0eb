"""One writer at a time in a folder: other processes are told who writes."""

import json
import os
import socket
import subprocess
import sys

import pytest

from jaxalign.runs import _lock
from jaxalign.runs._lock import LOCK, FolderLock

HOLD = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("lock", sys.argv[1])
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
held = lock.FolderLock(pathlib.Path(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of a folder until its input ends. It imports no jax."""
    command = [sys.executable, "-c", HOLD, _lock.__file__, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_holds_is_refused(tmp_path, other):
    message = rf"in use by process {other.pid} on {socket.gethostname()} since 20.*wait until"
    for _ in range(2):
        with pytest.raises(BlockingIOError, match=message):
            FolderLock(tmp_path)
    # A process that ends lets go, and leaves nothing.
    other.stdin.close()
    other.wait()
    assert not (tmp_path / LOCK).exists()
    FolderLock(tmp_path).release()
    assert not (tmp_path / LOCK).exists()


def test_the_lock_of_a_killed_process_is_told_and_taken_over(tmp_path, other, caplog):
    other.kill()
    other.wait()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == other.pid
    lock = FolderLock(tmp_path)
    assert f"is stale, and taken over: process {other.pid} of 20" in caplog.text
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    lock.release()


@pytest.mark.parametrize(
    "content", ['{"host": "elsewhere", "pid": 7, "since": "today"}', "?", "[]"]
)
def test_a_lock_of_another_host_is_left_to_the_user(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(BlockingIOError, match=r"cannot be told from here.*delete .*\.lock"):
        FolderLock(tmp_path)
    assert (tmp_path / LOCK).read_text() == content


def test_a_file_system_without_locks_goes_by_what_the_file_says(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "_try_lock", lambda stream: None)
    lock = FolderLock(tmp_path)
    monkeypatch.setattr(_lock, "_held", {})
    with pytest.raises(BlockingIOError, match="cannot be told from here"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_within_a_process_the_newest_counts(tmp_path):
    first = FolderLock(tmp_path)
    second = FolderLock(tmp_path)
    first.release()
    assert (tmp_path / LOCK).exists()
    second.release()
    assert not (tmp_path / LOCK).exists()
    FolderLock(tmp_path)  # nobody refers to it
    assert not (tmp_path / LOCK).exists()
