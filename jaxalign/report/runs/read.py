"""Runs by the names of their folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxalign.report.run.summary import RunSummary, summarize
from jaxalign.runs import read_config, read_history, read_result


class NamedRun(NamedTuple):
    """A run and what is known of it.

    Attributes:
      name: its folder.
      summary: of what it logged.
      config: its config.json.
      result: its result.json; empty for a run that goes on or was killed.
    """

    name: str
    summary: RunSummary
    config: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def title(self) -> str:
        """For people; "" of a run that has none."""
        parts = (self.config.get(name) for name in ("title", "subtitle"))
        return " · ".join(part for part in parts if isinstance(part, str))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its models; empty where config.json does not say."""
        settings = self.config.get("train")
        if not isinstance(settings, dict) or not {"seed", "seeds"} <= settings.keys():
            return ()
        return tuple(range(settings["seed"], settings["seed"] + settings["seeds"]))


def read_run(folder: Path) -> NamedRun:
    """The run in a folder.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: a run without a row yet.
    """
    history = read_history(folder)
    if len(history.step) == 0:
        raise ValueError(f"{folder} has no row yet; ask again when its first chunk is done")
    return NamedRun(str(folder), summarize(history), read_config(folder), read_result(folder))
