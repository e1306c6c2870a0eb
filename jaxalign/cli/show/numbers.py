"""What `jaxalign show` prints for programs: JSON or CSV on standard output, and nothing else."""

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxalign._core.naming import value_names
from jaxalign.comparison import read_comparison
from jaxalign.comparison._folder import COMPARISON, TABLE
from jaxalign.inspection import read_inspection
from jaxalign.inspection._folder import LAYERS
from jaxalign.report.run.summary import Measures, RunSummary
from jaxalign.report.runs.differences import Differences, differences
from jaxalign.report.runs.read import NamedRun
from jaxalign.runs._columns import columns
from jaxalign.runs._folder import read_config
from jaxalign.runs._rows import plain
from jaxalign.statistics import Estimate


def print_json(runs: Sequence[NamedRun], *, compare: bool) -> None:
    """A run as one object; several as {"runs": [...]}, with their "differences" if asked for."""
    each = [_run(run) for run in runs]
    if len(each) == 1:
        _print(each[0])
    elif compare:
        _print({"runs": each, **_differences(differences(runs))})
    else:
        _print({"runs": each})


def print_csv(runs: Sequence[NamedRun]) -> None:
    """A row per step, layer and model; of several runs, and run."""
    tables = [columns(run.summary.history) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    of_run = ["run"] if len(runs) > 1 else []
    writer.writerow([*of_run, *names])
    for run, table in zip(runs, tables, strict=True):
        count = len(table["step"])
        cells = [map(_cell, table.get(name, [None] * count)) for name in names]
        head = [run.name] if of_run else []
        writer.writerows([*head, *row] for row in zip(*cells, strict=True))


def print_other_json(folder: Path) -> None:
    """An inspection or a comparison: what its folder holds in JSON, and its config.json."""
    name = _require_whole(folder)
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    _print({"folder": str(folder), **content, "config": read_config(folder)})


def print_other_csv(folder: Path) -> None:
    """A comparison's table of pairs, or a row per layer of an inspection."""
    if _require_whole(folder) == COMPARISON:
        table = folder / TABLE
        if not table.is_file():
            raise FileNotFoundError(f"{folder} has no {TABLE}; compare again, with --overwrite")
        sys.stdout.write(table.read_text(encoding="utf-8"))
        return
    content = json.loads((folder / LAYERS).read_text(encoding="utf-8"))
    rows = [dict(_flat(row, content["thresholds"])) for row in content["layers"]]
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _require_whole(folder: Path) -> str:
    """The name of the file with the numbers of an inspection or a comparison.

    Raises:
      ValueError: it is damaged, or of another version.
    """
    if (folder / COMPARISON).is_file():
        read_comparison(folder)
        return COMPARISON
    read_inspection(folder)
    return LAYERS


def _run(run: NamedRun) -> dict[str, Any]:
    summary = run.summary
    history = summary.history
    return {
        "run": run.name,
        "status": run.result.get("status", "running, or killed"),
        "step": int(history.step[-1]),
        "models": history.models,
        "diverged": summary.diverged,
        "loss": _ends(summary.loss),
        "metrics": {name: _ends(values) for name, values in summary.metrics.items()},
        "layers": {layer: _layer(summary, layer) for layer in history.layers},
        "result": run.result,
        "config": run.config,
    }


def _layer(run: RunSummary, layer: str) -> dict[str, Any]:
    """‖y‖², and of each measure its values at the first measured step and at the last."""
    return {
        "total": run.history.totals.get(layer),
        "over_total": _measures(run, layer, run.shares),
        "measures": _measures(run, layer, run.others),
    }


def _measures(run: RunSummary, layer: str, measures: Measures) -> dict[str, Any]:
    coordinates = run.history.coordinates.get(layer, {})
    return {
        name: {
            **{axis: plain(positions) for axis, positions in coordinates.get(name, {}).items()},
            **_ends(values),
        }
        for name, values in measures[layer].items()
    }


def _ends(values: Estimate) -> dict[str, Any]:
    """Untrained and trained; of several models medians and 95 % intervals."""
    return {
        "untrained": _estimate(values.map(lambda rows: rows[0])),
        "trained": _estimate(values.map(lambda rows: rows[-1])),
    }


def _estimate(estimate: Estimate) -> Any:
    if estimate.n == 1:
        return plain(np.asarray(estimate.value))
    return {name: plain(np.asarray(x)) for name, x in estimate._asdict().items()}


def _differences(found: Differences) -> dict[str, Any]:
    first, *others = [run.name for run in found.runs]
    return {
        "reference": first,
        "differences": [
            {
                "measure": row.quantity.name,
                "layer": row.layer,
                "step": row.step,
                "means": dict(zip((first, *others), map(_number, row.means), strict=True)),
                "differences": {
                    name: {end: _number(x) for end, x in difference._asdict().items()}
                    for name, difference in zip(others, row.differences, strict=True)
                },
            }
            for row in found.rows
        ],
        "notes": found.notes,
    }


def _flat(row: Mapping[str, Any], thresholds: Sequence[float]) -> Iterable[tuple[str, Any]]:
    """A row of layers.json with a column for each threshold."""
    for name, value in row.items():
        if name == "shape":
            yield name, "x".join(map(str, value))
        elif isinstance(value, list):
            for tau, share in zip(value_names(thresholds), value, strict=True):
                yield f"{name}_{tau}", share
        else:
            yield name, value


def _number(value: float) -> Any:
    return plain(np.asarray(value))


def _cell(value: Any) -> Any:
    """A number with the digits of its dtype, nothing where there is none."""
    if isinstance(value, np.generic):
        value = plain(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value


def _print(content: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(_valid(content), indent=2, allow_nan=False) + "\n")


def _valid(value: Any) -> Any:
    """What a config or a result holds as JSON has it: Python writes NaN there, which is none."""
    if isinstance(value, dict):
        return {name: _valid(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_valid(each) for each in value]
    return _number(value) if isinstance(value, float) else value
