"""Labels in files beside images: NNN.cls, NNN.txt or NNN.json."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxalign.data._limit import require_within
from jaxalign.data._tar_members import TarMember

ENDINGS = ("cls", "txt", "json")
_LARGEST = 2**20


def ending_of(samples: Sequence[Mapping[str, TarMember]], label: str | None, source: str) -> str:
    """The ending of the files that hold labels.

    Raises:
      ValueError: no such files, or of two kinds, of which none is named.
    """
    if label is not None:
        ending = label.partition(".")[0]
        if ending not in ENDINGS or (ending != "json" and label != ending):
            raise ValueError(f"label must be cls, txt, json or json.FIELD, found {label!r}")
        return ending
    there = [ending for ending in ENDINGS if any(ending in sample for sample in samples)]
    if "cls" in there:
        return "cls"
    if len(there) != 1:
        found = " and ".join(there) or "neither"
        raise ValueError(
            f"{source} must hold a label NNN.cls, NNN.txt or NNN.json beside each image, found "
            f"{found}; name one, as label='json.FIELD'"
        )
    return there[0]


def labels_of(members: Sequence[TarMember], label: str | None) -> np.ndarray:
    """(n,) integers, floats, booleans or text.

    Args:
      members: the files.
      label: "json.FIELD" names an entry of JSON objects.

    Raises:
      ValueError: what is not a label; the message names the member.
    """
    if members[0].name.lower().endswith(".json"):
        field = (label or "json").partition(".")[2]
        return _of_one_kind([_json_label(member, field) for member in members], members)
    return _parsed([_text(member) for member in members])


def _text(member: TarMember) -> str:
    require_within(member.size, _LARGEST, f"the label {member}")
    try:
        text = member.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{member} is not text in UTF-8: {error.reason}") from None
    if not text:
        raise ValueError(f"{member} is empty, and must hold a label")
    return text


def _json_label(member: TarMember, field: str) -> Any:
    try:
        value = json.loads(_text(member))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{member} is not JSON: {error}") from None
    if isinstance(value, dict):
        names = [field] if field else ["label", *value][: 1 if "label" in value else None]
        inside = [name for name in names if name in value]
        if len(inside) != 1:
            raise ValueError(
                f"{member} must hold one label, found {', '.join(map(repr, value)) or 'nothing'}"
                f"{f' and no {field!r}' if field else ''}; name it, as label='json.FIELD'"
            )
        value = value[inside[0]]
    if not isinstance(value, str | int | float) or value == "":
        raise ValueError(f"{member} must hold a number or text as its label, found {value!r:.80}")
    return value


def _of_one_kind(values: list[Any], members: Sequence[TarMember]) -> np.ndarray:
    kinds = [_kind(value) for value in values]
    for kind, value, member in zip(kinds, values, members, strict=True):
        if kind != kinds[0]:
            raise ValueError(
                f"labels must be of one kind, found {values[0]!r} in {members[0].name} and "
                f"{value!r:.80} in {member}"
            )
    array = np.array(values)
    if array.dtype == object:
        largest = max(values, key=abs)
        raise ValueError(f"labels must fit in 64 bits, found {largest}")
    return array


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _parsed(texts: list[str]) -> np.ndarray:
    """Numbers, if all of them are such, or else the text."""
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", text) for text in texts):
        return np.array([int(text) for text in texts], np.int64)
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return np.array(texts)
