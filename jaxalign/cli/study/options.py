"""The options of `jaxalign study`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxalign.cli.choices import Size


@dataclass(frozen=True)
class Study:
    """Put claims of the paper to the test, each on real data, with several seeds; without a name,
    list them.

    A study can be interrupted, and goes on when the same command is given again. In the end,
    claims.html in the out folder shows every study that is finished there.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Which of emergence, depth, layers, pretrained, labels, speed, transfer, demo, learning."""
    all: bool = False
    """All of them."""
    size: Size = "small"
    """small: minutes each on two cores; medium: at most three hours each; paper: more seeds,
    samples and steps, for an accelerator."""
    data: Path | None = None
    """A folder with data that do not come with the package: cifar-10-batches-bin,
    imagenet-1000-photos, ct_slices_681.csv. What is not there is left out, and the
    study says so. By default the folder that JAXALIGN_DATA names."""
    out: Path = Path("studies")
    """Where each gets a folder of its name, with table.csv, result.json, figure.png, two figures
    for pages and, to go on from, cells.jsonl."""
    report: bool = False
    """Measure nothing: make verdicts, figures and page again from the tables in the out folder, by
    default of all studies that are finished there."""
