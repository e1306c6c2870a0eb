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
    def settings(self) -> Mapping[str, Any]:
        """Of `jaxalign train`; empty of another run."""
        return self._table("train")

    @property
    def monitor(self) -> Mapping[str, Any]:
        """What config.json says of the monitor; empty where it says nothing."""
        return self._table("monitor")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its models; empty where config.json does not say."""
        first, count = (self.settings.get(name) for name in ("seed", "seeds"))
        if not isinstance(first, int) or count != (self.summary.history.models or 1):
            return ()
        return tuple(range(first, first + count))

    def _table(self, name: str) -> Mapping[str, Any]:
        # What a user wrote into a config of their own may be anything.
        content = self.config.get(name)
        return content if isinstance(content, dict) else {}


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
