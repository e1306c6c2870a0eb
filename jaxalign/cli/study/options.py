"""The options of `jaxalign study`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxalign.cli.choices import Many, Size


@dataclass(frozen=True)
class Study:
    """Put claims of the paper to the test, each on real data, with several seeds; without a name,
    list them.

    A study can be interrupted, and goes on when the same command is given again. In the end,
    claims.html in the out folder shows every study that is finished there.
    """

    # Which of emergence, depth, layers, pretrained, labels, speed, transfer, demo, learning.
    names: tyro.conf.Positional[Many[str]] = ()
    # Run all of them.
    all: bool = False
    # small: minutes each on two cores; medium: up to 40 minutes each; paper: more seeds, samples
    # and steps, for an accelerator.
    size: Size = "small"
    # A folder with data that do not come with the package: cifar-10-batches-bin,
    # imagenet-1000-photos, ct_slices_681.csv, usps_all.mat. What is not there is left out, and the
    # study says so. By default the folder that JAXALIGN_DATA names.
    data: Path | None = None
    # The folder in which each study gets a folder of its name, with table.csv, result.json,
    # figure.png, two figures for pages, and cells.jsonl to go on from.
    out: Path = Path("studies")
    # Measure nothing: make verdicts, figures and page again from the tables in the out folder, by
    # default of all studies that are finished there.
    report: bool = False
