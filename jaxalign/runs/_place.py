"""Where a run can be written."""

import os
import re
from collections.abc import Sequence
from pathlib import Path


def local_folder(folder: str | Path) -> Path:
    """A folder as a Path.

    Raises:
      TypeError: no path.
      ValueError: an address, as "gs://bucket/run", which would become a folder "gs:" here.
    """
    text = os.fspath(folder) if isinstance(folder, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(f"folder must be a path, found a {type(folder).__name__}")
    # One letter is a drive.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise ValueError(
            f"folder must be on a file system of this machine, found the address {text}; mount the "
            "bucket and pass where it is mounted"
        )
    return Path(text)


def require_replaceable(
    folder: str | Path, files: Sequence[str], mark: str, kind: str, *, overwrite: bool
) -> None:
    """Raise if something of a kind would replace files of a folder, or could not be written there;
    with ``overwrite`` it may replace one of its kind, which the file ``mark`` tells, and nothing
    else.

    Raises:
      FileExistsError: it would.
      NotADirectoryError, PermissionError: as ``require_writable``.
    """
    require_writable(Path(folder))
    present = [name for name in files if (Path(folder) / name).exists()]
    is_one = mark in present
    if not present or (overwrite and is_one):
        return
    remedy = f", no {kind}; name another"
    if is_one:
        remedy = "; name another one, or replace it with overwrite (--overwrite)"
    raise FileExistsError(f"out folder {folder} already holds {', '.join(present)}{remedy}")


def require_writable(folder: Path) -> None:
    """Before anything is computed, rather than when it is to be saved.

    Raises:
      NotADirectoryError, PermissionError: it cannot be made, or written to.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"folder {folder} cannot be made: {nearest} is a file; name another one"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"folder {folder} cannot be written: {nearest} is read-only; name another one"
        )
