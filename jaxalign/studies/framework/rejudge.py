"""Judges a finished study again from its table, without measuring."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxalign.studies.framework.results import RESULT, TABLE, Finished, write_figures, write_result
from jaxalign.studies.framework.study import Size, Study
from jaxalign.studies.framework.table import read_table
from jaxalign.studies.framework.verdict import Verdict

if TYPE_CHECKING:
    from pandas import DataFrame

MEASURED = ("study", "size", "config", "rows", "seconds", "date", "command", "environment")
"""What a result says of the measurement, which judging does not change."""


def rejudge(study: Study[Any], folder: str | Path) -> Finished:
    """Write result and figure again, from the table and the configuration it was measured with.

    Raises:
      FileNotFoundError: the folder holds no result, or no table.
      ValueError: the result is damaged or of another study.
    """
    folder = Path(folder)
    file = folder / RESULT
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        measured = {name: content[name] for name in MEASURED}
        config = measured_config(study, content["size"], content["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is not a result of {study.name} ({error!r}); delete it, and run the study "
            "again"
        ) from None
    if content["study"] != study.name:
        raise ValueError(f"{file} is of the study {content['study']!r}, not of {study.name!r}")
    table = read_table(folder / TABLE)
    finished = Finished(
        **measured,
        claim=study.claim,
        source=study.source,
        comparison=study.comparison,
        verdict=verdict_on(study, content["size"], content["config"], table),
    )
    write_figures(partial(study.figure, config, table), finished, folder)
    write_result(finished, folder)
    return finished


def verdict_on(
    study: Study[Any], size: Size, stored: Mapping[str, Any], table: "DataFrame"
) -> Verdict:
    """The verdict on a table; a note says where it was measured with an earlier design.

    Args:
      study: that was run.
      size: of its configurations.
      stored: the configuration of the table, as JSON returns it.
      table: its rows.
    """
    verdict = study.verdict(measured_config(study, size, stored), table)
    now = json.loads(json.dumps(asdict(study.sizes[size])))
    changed = [
        f"{name} {stored.get(name, 'not there')} (now {now.get(name, 'not there')})"
        for name in {**stored, **now}
        if stored.get(name) != now.get(name)
    ]
    if not changed:
        return verdict
    note = f"Measured with the earlier design: {', '.join(changed)}."
    return verdict._replace(notes=[*verdict.notes, note])


def measured_config(study: Study[Any], size: Size, stored: Mapping[str, Any]) -> Any:
    """The configuration of a table; what it does not know of is as it is now."""
    now = study.sizes[size]
    known = {field.name for field in fields(now)}
    return type(now)(
        **{
            **{name: getattr(now, name) for name in known},
            **{name: _as_tuples(value) for name, value in stored.items() if name in known},
        }
    )


def _as_tuples(value: Any) -> Any:
    """A value of JSON, with tuples for lists."""
    if isinstance(value, list):
        return tuple(map(_as_tuples, value))
    return value
