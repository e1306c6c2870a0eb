"""A run on disk: config.json, history.jsonl (a row per step), a .npy file per measure, result.json,
figures and a page.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxalign._core.kinds import found, require_kind

CONFIG = "config.json"
MEASURED = "measured"
"""Under this name the config says what is in which file."""
ROWS = "history.jsonl"
RESULT = "result.json"
FIGURES = "figures"
PAGE = "index.html"


def read_config(path: str | Path) -> dict[str, Any]:
    """config.json of a run folder, as written by ``RunWriter``.

    Args:
      path: the run folder.

    Returns:
      What the file holds: the config of the run and, under "measured", what is in which file.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: the file is empty, damaged or no JSON object.

    Example:
      >>> import tempfile
      >>> from jaxalign.runs import read_config
      >>> read_config(tempfile.mkdtemp())
      Traceback (most recent call last):
      FileNotFoundError: ... holds no run: there is no config.json in it

    Source: ours.
    """
    file = Path(path) / CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no run: there is no {_what_lacks(Path(path))}")
    return _read_json(file)


def _what_lacks(path: Path) -> str:
    if not path.exists():
        return "such folder"
    # Of a run people also pass the page or a picture.
    for folder in list(path.parents)[:2]:
        if (folder / CONFIG).is_file():
            return f"{CONFIG} in it; pass {folder}, which has one"
    return f"{CONFIG} in it"


def read_result(path: str | Path) -> dict[str, Any]:
    """result.json of a run folder; empty while the run goes on, or if it was killed.

    Args:
      path: the run folder.

    Returns:
      What the file holds.

    Raises:
      ValueError: the file is empty, damaged or no JSON object.

    Example:
      >>> import tempfile
      >>> from jaxalign.runs import read_result
      >>> read_result(tempfile.mkdtemp())
      {}

    Source: ours.
    """
    file = Path(path) / RESULT
    return _read_json(file) if file.is_file() else {}


def measured_in(config: Mapping[str, Any], path: str | Path) -> Mapping[str, Any]:
    """What config.json says was measured.

    Raises:
      ValueError: the run has an older layout, or config.json is not a run's.
    """
    measured = config.get(MEASURED)
    if not isinstance(measured, Mapping):
        raise ValueError(f"{path} holds no run: its {CONFIG} does not say what was measured")
    if "arrays" not in measured or "scalars" in measured:
        raise ValueError(
            f"{path} holds a run of an older layout, whose {CONFIG} names no files of some "
            "measures; train it again, or read it with the version that wrote it"
        )
    return measured


def files_of_a_run(folder: Path) -> list[str]:
    """The files in a folder that a run would write, in the order in which they are listed."""
    names = [CONFIG, ROWS, *_array_files(folder), RESULT, PAGE]
    names += [f"{FIGURES}/{file.name}" for file in sorted((folder / FIGURES).glob("*.png"))]
    return [name for name in names if (folder / name).exists()]


def holds_a_run(folder: Path) -> bool:
    """Whether there are rows, or the config of a run that has none yet."""
    return (folder / ROWS).exists() or _measured(folder) is not None


def delete_run(folder: Path) -> None:
    """Delete the files of a run and nothing else that may be in the folder; last the config, which
    names the others.
    """
    for name in sorted(files_of_a_run(folder), key=CONFIG.__eq__):
        (folder / name).unlink(missing_ok=True)


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON makes of a config.

    Raises:
      TypeError: it is not a dict, or holds what JSON cannot.
      ValueError: it holds itself.
    """
    require_kind(config, Mapping, "config", "pass a dict of settings")
    content = {}
    for name, value in config.items():
        try:
            content.update(json.loads(json.dumps({name: value})))
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"config must hold what JSON can, found under {name!r} {found(value)} ({error}); "
                "pass numbers, text, lists and dicts"
            ) from None
    return content


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """A process that is killed here leaves the old content or the new one."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)


def _array_files(folder: Path) -> list[str]:
    """The .npy files that the config of a run names, of this layout or an older one."""
    arrays = (_measured(folder) or {"arrays": ()}).get("arrays", ("curves.npy", "null.npy"))
    # Of a config that somebody else wrote, nothing outside the folder.
    return [name for name in arrays if name.endswith(".npy") and Path(name).name == name]


def _measured(folder: Path) -> Mapping[str, Any] | None:
    try:
        measured = read_config(folder).get(MEASURED)
    except (OSError, ValueError):
        return None
    return measured if isinstance(measured, Mapping) else None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is damaged or empty ({error}); restore it") from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{file} must hold a JSON object, found a {type(content).__name__}; it is not a run's"
        )
    return content
