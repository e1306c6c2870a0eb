"""Sums that are saved in an .npz file and read back bit for bit."""

import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np


def save(file: str | Path, sums: Any) -> None:
    """Write all fields of a dataclass."""
    arrays: dict[str, Any] = {
        field.name: np.asarray(getattr(sums, field.name)) for field in fields(sums)
    }
    with open(file, "wb") as stream:
        np.savez(stream, **arrays)


def load(file: str | Path, kind: type, what: str) -> dict[str, np.ndarray]:
    """The fields of a dataclass that ``save`` wrote.

    Raises:
      ValueError: the file holds something else; the message says ``what`` it should.
    """
    try:
        with open(file, "rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            names = sorted(getattr(arrays, "files", []))
            if set(names) == {field.name for field in fields(kind)}:
                return {name: arrays[name] for name in names}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} holds no {what}: it is no .npz file, or a damaged one") from error
    raise ValueError(f"{file} holds no {what}: its arrays are {names}")
