"""Which files a folder of Hugging Face's datasets consists of: arrow files or parquet, by part."""

import json
import re
from pathlib import Path
from typing import Any, Literal

Part = Literal["train", "test"]

_DICT = "dataset_dict.json"
_STATE = "state.json"
_PARTS = {"train": ("train",), "test": ("test", "validation", "valid", "val", "dev")}
_PARQUET = ".parquet"
_IN_NAME = re.compile(rf"({'|'.join(name for names in _PARTS.values() for name in names)})\b.*")


def is_dataset(path: Path) -> bool:
    """Whether ``save_to_disk`` wrote this folder, or it holds parquet files, or is one."""
    if path.is_dir():
        return (path / _DICT).is_file() or (path / _STATE).is_file() or bool(_parquet(path))
    return path.suffix.lower() == _PARQUET


def dataset_parts(path: Path) -> dict[str, list[Path]]:
    """The files of each part by its name; "" where there are no parts.

    Raises:
      ValueError: a description of other content; names of files elsewhere.
    """
    if (path / _DICT).is_file():
        names = _json(path / _DICT).get("splits")
        if not isinstance(names, list) or not names:
            raise ValueError(f"{path / _DICT} must list splits, found {names!r}")
        return {name: _arrow(path / _beside(path / _DICT, name)) for name in names}
    if (path / _STATE).is_file():
        return {"": _arrow(path)}
    parts: dict[str, list[Path]] = {}
    for file in _parquet(path):
        part = _IN_NAME.match(file.name)
        parts.setdefault(part[1] if part else "", []).append(file)
    return parts


def files_of(path: Path, part: Part | None) -> list[Path]:
    """The files of a part, or of what has no parts.

    Raises:
      ValueError: a part where there are none, or none of that name.
    """
    parts = dataset_parts(path)
    if list(parts) == [""] and part is None:
        return parts[""]
    wanted = _PARTS[part] if part else ()
    chosen = next((name for name in wanted if name in parts), None)
    if chosen is None:
        raise ValueError(
            f"{path} has the parts {', '.join(name or 'without a name' for name in parts)}, found "
            f"part={part!r}; pass part='train' or 'test' where there is such, or the path of one"
        )
    return parts[chosen]


def has_part(path: Path, part: Part) -> bool:
    """Whether there is a part to train or to test on."""
    return any(name in _PARTS[part] for name in dataset_parts(path))


def _arrow(folder: Path) -> list[Path]:
    """The arrow files that a folder's state lists, all of which have to be there."""
    state = folder / _STATE
    if not state.is_file():
        raise FileNotFoundError(f"{folder} has no {_STATE}; save_to_disk writes one")
    entries = _json(state).get("_data_files")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{state} must list _data_files, found {entries!r:.80}")
    names = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries]
    files = [folder / _beside(state, name) for name in names]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{state} lists {file.name}, which is missing")
    return files


def _beside(file: Path, name: Any) -> str:
    if not isinstance(name, str) or name in ("", "..") or Path(name).name != name:
        raise ValueError(
            f"{file} lists {name!r}, which is not a name of a file or folder beside it"
        )
    return name


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object, found a {type(content).__name__}")
    return content


def _parquet(path: Path) -> list[Path]:
    """The file itself, those in a folder or, as on Hugging Face, in its folder data."""
    if not path.is_dir():
        return [path]
    folders = (path, path / "data")
    found = [sorted(folder.glob(f"*{_PARQUET}")) for folder in folders if folder.is_dir()]
    return next((files for files in found if files), [])
