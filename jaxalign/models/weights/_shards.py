"""Weights in several files: an index, as Hugging Face writes it, says which tensor is where."""

import json
from collections import defaultdict
from pathlib import Path

from jaxalign.models.weights._paths import regular
from jaxalign.models.weights._stored import Refused

_LARGEST_INDEX = 100_000_000
"""Bytes; as much as the header of a safetensors file may have."""


def is_index(begin: bytes) -> bool:
    """Whether a file begins as JSON does, and as no length of a safetensors header does."""
    return begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b"\0" not in begin


def shards(index: Path) -> dict[Path, set[str]]:
    """The files beside ``index``, and the names of the tensors in each.

    Raises:
      FileNotFoundError: one of the files is missing; all are looked for before one is read.
      ValueError: other JSON; files in other folders.
    """
    size = index.stat().st_size
    if size > _LARGEST_INDEX:
        raise Refused(f"it is JSON of {size:,} bytes, larger than an index of shards can be")
    content = json.loads(index.read_bytes())
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise Refused("it is JSON without a weight_map, so no index of shards")
    names = defaultdict(set)
    for name, file in weight_map.items():
        if not isinstance(file, str) or file in ("", "..") or Path(file).name != file:
            raise Refused(f"its weight_map has {name!r} in {file!r}, which is not a file beside it")
        names[index.parent / file].add(name)
    return {regular(file): names[file] for file in sorted(names)}


def require_names(shard: Path, found: set[str], listed: set[str]) -> None:
    """Raise unless the tensors in a shard are those that the index lists for it."""
    if found != listed:
        raise ValueError(
            f"{shard} and its index differ: {len(listed - found)} tensors are missing "
            f"{sorted(listed - found)[:3]}, {len(found - listed)} are not listed "
            f"{sorted(found - listed)[:3]}; fetch all files of one version again"
        )
