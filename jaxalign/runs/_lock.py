"""One writer at a time in a folder."""

import contextlib
import errno
import json
import logging
import os
import socket
import sys
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)

LOCK = ".lock"
UNKNOWN = {"host": "an unknown host", "pid": "(unknown)", "since": "an unknown time"}
_FAR = 1 << 30  # a byte of the file that nobody reads
_held: "weakref.WeakValueDictionary[Path, FolderLock]" = weakref.WeakValueDictionary()


class FolderLock:
    """Keeps other processes from a folder, until ``release`` or until this process ends.

    The operating system holds the lock and lets it go however the process ends, so a lock is never
    left over on its own machine. The file says who holds it, for the message, and for machines that
    share the folder but not the lock.

    Within one process the newest lock counts: a run that was interrupted in a notebook is called
    again while its first writer still exists.

    Args:
      folder: exists.

    Raises:
      BlockingIOError: another process holds it, or one on another host did and did not let go.
    """

    def __init__(self, folder: Path):
        file = folder / LOCK
        key = file.resolve()
        if key in _held:
            _held[key].release()
        stream, free = _opened(file)
        stream.seek(0)
        holder = _holder(stream.read())
        is_mine = holder is None or holder["host"] == socket.gethostname()
        if free is False or (holder is not None and (free is None or not is_mine)):
            stream.close()
            raise BlockingIOError(_in_use(folder, holder or UNKNOWN, free))
        if holder is not None:
            logger.warning(
                "the lock of %s is stale, and taken over: process %s of %s did not let go",
                folder,
                holder["pid"],
                holder["since"],
            )
        stream.truncate(0)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"host": socket.gethostname(), "pid": os.getpid(), "since": now}
        stream.write(json.dumps(content).encode())
        stream.flush()
        # Also when nobody refers to it any more, and at the end of the program.
        self._release = weakref.finalize(self, _let_go, stream, file, os.getpid())
        _held[key] = self

    def release(self) -> None:
        """Let other processes in."""
        self._release()


def _let_go(stream: IO[bytes], file: Path, process: int) -> None:
    # A forked process has the lock of its parent.
    if os.getpid() == process:
        stream.truncate(0)
        # The folder may have been deleted meanwhile, and Windows deletes no open files.
        with contextlib.suppress(OSError):
            file.unlink()
    stream.close()


def _opened(file: Path) -> tuple[IO[bytes], bool | None]:
    """The file, and whether its lock was free, see ``_try_lock``."""
    while True:
        stream = open(file, "a+b")  # noqa: SIM115  # open as long as the folder is held
        free = _try_lock(stream)
        with contextlib.suppress(FileNotFoundError):
            # Whoever let go in between has deleted the file: then this is the lock of nothing.
            if not free or os.path.samestat(os.fstat(stream.fileno()), os.stat(file)):
                return stream, free
        stream.close()


def _try_lock(stream: IO[bytes]) -> bool | None:
    """Whether the lock was free; None where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(_FAR)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True


def _holder(content: bytes) -> dict[str, Any] | None:
    """Who wrote it, if anybody did."""
    if not content:
        return None
    try:
        return {**UNKNOWN, **json.loads(content)}
    except (ValueError, TypeError):
        return UNKNOWN


def _in_use(folder: Path, holder: dict[str, Any], free: bool | None) -> str:
    who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    if free is False:
        return f"{folder} is in use by {who}; wait until it ends, stop it, or name another folder"
    return (
        f"{folder} is in use by {who}, and whether that still runs cannot be told from here; if it "
        f"does not, delete {folder / LOCK}"
    )
