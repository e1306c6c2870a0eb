"""The options of `jaxalign show`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxalign.cli.checks import flag
from jaxalign.cli.choices import Many

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class Show:
    """Print what a run found, layer by layer; of several runs, how they differ.

    Several runs are compared at the last step that all of them measured. This leaves a page with
    the curves of all.
    """

    # The run folder, or several; of one also the folder of an inspection or a comparison.
    runs: tyro.conf.Positional[Many[Path]]
    # Print all numbers as one JSON object, and nothing else.
    json: Switch = False
    # Print a table as CSV, and nothing else: of runs a row per step, layer and model.
    csv: Switch = False
    # Folder to make for the page of several runs; by default the next free runs/show-N.
    out: Path | None = None

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs must be at least one folder, found none; name a run's folder")
        places = [run.resolve() for run in self.runs]
        twice = [
            str(run)
            for run, place in zip(self.runs, places, strict=True)
            if places.count(place) > 1
        ]
        if twice:
            raise ValueError(f"runs must be different ones, found one as {', '.join(twice)}")
        if self.json and self.csv:
            raise ValueError("--json and --csv are two formats; leave out one of them")
        given = [name for name in ("json", "csv") if getattr(self, name)]
        if self.out is not None and (given or len(self.runs) == 1):
            reason = f"{flag(given[0])} prints alone" if given else "one run has its own page"
            raise ValueError(
                f"--out is for the page of several runs, and {reason}; leave out --out"
            )
