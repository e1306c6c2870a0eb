"""Which layers are compared: chosen on the odd classes, before the even ones were looked at.

    JAXALIGN_DATA=FOLDER python -m jaxalign.studies.pretrained.choice

measures the networks on the tasks of the odd classes, and writes choice.json beside this file: of
each, published and untrained, the layer with the highest mean of each deciding measure.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxalign._core.jsonl import replace_lines
from jaxalign.studies.framework.table import table_of
from jaxalign.studies.pretrained.design import DECIDING, PUBLISHED, UNTRAINED, Config
from jaxalign.studies.pretrained.measurement import measure
from jaxalign.studies.pretrained.natural import SOURCES, natural_tasks
from jaxalign.studies.pretrained.published import IMAGES
from jaxalign.studies.shared.outside import path_of

if TYPE_CHECKING:
    from pandas import DataFrame

FILE = Path(__file__).with_name("choice.json")
CONFIG = Config(networks=tuple(IMAGES), half="odd", num_samples=100, seeds=2)

Layers = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Network → representation → deciding measure → the layer."""


def chosen_layers() -> Layers:
    """The choice that is committed."""
    layers: Layers = json.loads(FILE.read_text(encoding="utf-8"))["layers"]
    return layers


def choose() -> None:
    """Measure the odd classes and write the choice.

    Raises:
      ValueError: the natural images are not at hand.
    """
    for source in SOURCES:
        path_of(source)
    rows = [
        row
        for name in CONFIG.networks
        for task in natural_tasks(CONFIG.half, CONFIG.num_samples)
        for row in measure(CONFIG, {"network": name, "task": task})
    ]
    replace_lines(FILE, [json.dumps(choice_of(table_of(rows)), indent=1, ensure_ascii=False)])


def choice_of(table: "DataFrame") -> dict[str, Any]:
    """The content of the file: the layers, and the means over tasks and seeds they follow from."""
    measures = list(DECIDING)
    of_networks = table[table["representation"].isin([PUBLISHED, UNTRAINED])]
    sides = of_networks.groupby(["network", "representation"], sort=False)
    layers: dict[str, dict[str, dict[str, str]]] = {}
    means: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (network, representation), rows in sides:
        by_layer = rows.groupby("layer", sort=False)[measures].mean()
        layers.setdefault(network, {})[representation] = by_layer.idxmax().to_dict()
        means.setdefault(network, {})[representation] = by_layer.round(4).to_dict("index")
    references = table[table["depth"] == 0].groupby("representation", sort=False)[measures].mean()
    return {
        "config": asdict(CONFIG),
        "tasks": list(table["task"].unique()),
        "layers": layers,
        "means": means,
        "references": references.round(4).to_dict("index"),
    }


if __name__ == "__main__":
    choose()
