"""Where weights are. A path is looked at before it is opened, as a pipe would wait for ever."""

import os
import re
import stat
from pathlib import Path

# "model-00002-of-00005.safetensors" is read by way of its index.
_SHARD = re.compile(r"-\d+-of-\d+\.")
_INDEX = ".index.json"
_SHOWN = 5


def located(path: str | Path) -> Path:
    """The file of weights at ``path``: itself or, of a folder, the index of its shards or its only
    file of weights, safetensors before torch's .bin.

    Raises:
      TypeError: no path.
      FileNotFoundError: nothing is there.
      ValueError: a folder without weights or with several; a pipe, a device, a circle of links.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a Path, found {type(path).__name__}")
    path = Path(path)
    if not stat.S_ISDIR(_mode(path)):
        return regular(path)
    return regular(path / _weights_in(path))


def regular(path: Path) -> Path:
    """``path``, if a regular file is there.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: a folder, a pipe, a device, a circle of links.
    """
    mode = _mode(path)
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{path} is a {_kind(mode)}; path must be a file of weights, or a folder that holds one"
        )
    return path


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no checkpoint at {path}") from None
    except (OSError, ValueError) as error:
        # Links in a circle, a name that is too long or has a zero byte.
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} cannot be read: {reason}; pass another path") from None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def _weights_in(folder: Path) -> str:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror}; pass another path") from None
    for ending in (".safetensors", ".bin"):
        weights = [
            name
            for name in names
            if name.lower().removesuffix(_INDEX).endswith(ending) and not _SHARD.search(name)
        ]
        if len(weights) == 1:
            return weights[0]
        if weights:
            raise ValueError(
                f"{folder} is a folder with the weights {', '.join(weights)}; "
                "path must be one of them"
            )
    listed = ", ".join(names[:_SHOWN]) or "nothing"
    raise ValueError(
        f"{folder} is a folder of {listed}, without *{_INDEX} and *.safetensors; "
        "path must be the file of weights in it"
    )
