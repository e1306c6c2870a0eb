"""A comparison on disk: config.json, comparison.json (all numbers) and similarity.csv (a row for
each pair of layers).
"""

import csv
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxalign.comparison._alignment import Alignments, AreaDifference
from jaxalign.comparison._compare import Comparison
from jaxalign.comparison._layers import LayerShape
from jaxalign.comparison._pairs import Chance, Pairs
from jaxalign.inspection import LayerNumbers
from jaxalign.runs._folder import CONFIG, FIGURES, PAGE, as_json, write_json
from jaxalign.runs._place import require_replaceable

COMPARISON = "comparison.json"
TABLE = "similarity.csv"
PICTURE = "similarity"
_OF_OTHERS = ("history.jsonl", "layers.json")


@dataclass(frozen=True)
class Compared:
    """What a folder holds.

    Attributes:
      comparison: the numbers.
      config: title, subtitle, the names of both sides, command, notes, and details.
    """

    comparison: Comparison
    config: Mapping[str, Any]


def require_free(folder: str | Path, *, overwrite: bool) -> None:
    """Raise if a comparison would replace files of the folder; with ``overwrite`` it may replace a
    comparison, and nothing else.

    Raises:
      FileExistsError: it would.
    """
    names = (CONFIG, COMPARISON, TABLE, PAGE, f"{FIGURES}/{PICTURE}.png", *_OF_OTHERS)
    require_replaceable(folder, names, COMPARISON, "comparison", overwrite=overwrite)


def save(folder: str | Path, compared: Compared) -> None:
    """Write a comparison into a folder, which is made when needed.

    comparison.json holds everything; similarity.csv the columns first, second, value and, where
    they are known, chance, standard_deviation and p_value. NaN is null, and empty in the table.

    Args:
      folder: where to; what is there is written over.
      compared: the comparison, and any config that JSON can hold.

    Raises:
      TypeError: a config that JSON cannot hold; nothing is written.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.comparison import Compared, SavedLayers, compare, read_comparison, save
      >>> rows = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
      >>> layers = SavedLayers({"a": rows}, {"a": rows.shape})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(folder, Compared(compare(layers, layers), {"title": "one layer"}))
      ...     read_comparison(folder).comparison.pairs.values.round(2).tolist()
      [[1.0]]

    Source: ours.
    """
    folder = Path(folder)
    config = as_json(compared.config)
    folder.mkdir(parents=True, exist_ok=True)
    # comparison.json makes a folder a comparison, so it is removed first and written last.
    (folder / COMPARISON).unlink(missing_ok=True)
    write_json(folder / CONFIG, config)
    _write_table(folder / TABLE, compared.comparison)
    write_json(folder / COMPARISON, _content(compared.comparison))


def read_comparison(folder: str | Path) -> Compared:
    """Read what ``save`` wrote. Example: as ``save``.

    Args:
      folder: the one that ``save`` wrote.

    Returns:
      Compared.

    Raises:
      FileNotFoundError: the folder holds no comparison.
      ValueError: it is damaged, or of another version of jaxalign.

    Source: ours.
    """
    folder = Path(folder)
    if not (folder / COMPARISON).is_file():
        raise FileNotFoundError(f"{folder} holds no comparison: there is no {COMPARISON} in it")
    try:
        content = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return Compared(_comparison(content), config)
    # Anything: JSON of another kind fails in many ways.
    except Exception as error:
        raise ValueError(
            f"{folder} holds a comparison that is damaged or by another version of jaxalign "
            f"({error}); compare again, with --overwrite"
        ) from None


def _write_table(file: Path, comparison: Comparison) -> None:
    chance = comparison.pairs.chance
    columns = {"value": comparison.pairs.values}
    if chance is not None:
        columns |= {"chance": chance.mean}
        columns |= {
            name: x for name, x in chance._asdict().items() if name != "mean" and x is not None
        }
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["first", "second", *columns])
        for i, first in enumerate(comparison.first):
            for j, second in enumerate(comparison.second):
                cells = [_plain(float(column[i, j])) for column in columns.values()]
                writer.writerow([first, second, *cells])


def _content(comparison: Comparison) -> dict[str, Any]:
    found = comparison.alignments or (None, None)
    sides = zip((comparison.first, comparison.second), found, strict=True)
    return {
        "measure": comparison.measure,
        "is_distance": comparison.is_distance,
        "is_share": comparison.is_share,
        "num_samples": comparison.num_samples,
        "permutations": comparison.permutations,
        "centered": comparison.centered,
        "sides": [
            {
                "layers": [{"name": name, **each._asdict()} for name, each in shapes.items()],
                "left_out": dict(left_out),
                "alignment": _rows(alignments),
            }
            for (shapes, alignments), left_out in zip(sides, comparison.left_out, strict=True)
        ],
        "values": _plain(comparison.pairs.values),
        "chance": _fields(comparison.pairs.chance),
        "differences": [_fields(each) for each in comparison.differences],
    }


def _comparison(content: Mapping[str, Any]) -> Comparison:
    sides = content["sides"]
    first, second = (
        OrderedDict(
            (row["name"], LayerShape(tuple(row["shape"]), row["width"])) for row in side["layers"]
        )
        for side in sides
    )
    alignments = None
    if sides[0]["alignment"] is not None:
        alignments = (_alignments(sides[0]["alignment"]), _alignments(sides[1]["alignment"]))
    chance = None
    if content["chance"] is not None:
        chance = Chance(**content["chance"])
        chance = Chance(*(None if x is None else _array(x) for x in chance))  # type: ignore[arg-type]
    return Comparison(
        measure=content["measure"],
        is_distance=content["is_distance"],
        is_share=content["is_share"],
        first=first,
        second=second,
        left_out=(sides[0]["left_out"], sides[1]["left_out"]),
        pairs=Pairs(_array(content["values"]), chance),
        permutations=content["permutations"],
        alignments=alignments,
        differences=tuple(AreaDifference(**each) for each in content["differences"]),
        num_samples=content["num_samples"],
        centered=content["centered"],
    )


def _rows(alignments: Alignments | None) -> list[dict[str, Any]] | None:
    if alignments is None:
        return None
    return [{"name": name, **_fields(row)} for name, row in alignments.items()]


def _alignments(rows: list[dict[str, Any]]) -> Alignments:
    found: Alignments = OrderedDict()
    for row in rows:
        name, *values = (row[field] for field in ("name", *LayerNumbers._fields))
        area, null_area, alignment, null_alignment, rank = values
        found[name] = LayerNumbers(area, null_area, _array(alignment), _array(null_alignment), rank)
    return found


def _fields(row: Any) -> Any:
    return None if row is None else {name: _plain(x) for name, x in row._asdict().items()}


def _plain(value: Any) -> Any:
    """JSON's types, NaN as null, and floats with as many digits as tell float32 values apart."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if np.isfinite(value) else None
    return value


def _array(values: list) -> np.ndarray:
    return np.array(values, dtype=float)
