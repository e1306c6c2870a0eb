"""The measurement of the study of speed: which heads learn which labels on which rows."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.shared.networks import ARCHITECTURES, architecture_named
from jaxalign.studies.speed.design import LABELINGS, PROBLEMS, Config
from jaxalign.studies.speed.heads import Rows, heads
from jaxalign.studies.speed.labelings import CLASSES, SPLITS, targets
from jaxalign.studies.speed.layers import Representation, layers_of
from jaxalign.studies.speed.table import PERMUTED, TRUE
from jaxalign.studies.speed.ten_classes import drawn, images_of, representations_of


class Task(NamedTuple):
    """What heads on one representation learn.

    Attributes:
      origin: the representation.
      kind: of the rows: whether networks were trained on them.
      labels: the names of the columns of targets.
      own: the rows that the heads learn.
      others: the rows that they are tested on.
    """

    origin: Representation
    kind: str
    labels: Sequence[str]
    own: Rows
    others: Rows


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per representation, kind of rows and labels."""
    tasks = _of_labelings if cell["architecture"] == LABELINGS else _of_networks
    rows: list[Row] = []
    for task in tasks(config, cell):
        origin = {**cell, **task.origin.place, "rows": task.kind}
        for labels, head in zip(task.labels, heads(config, task.own, task.others), strict=True):
            rows.append({**origin, "labels": labels, **head})
    return rows


def _of_networks(config: Config, cell: Cell) -> Iterator[Task]:
    """True and permuted labels on every layer, of rows that networks were trained on or not."""
    parts = PROBLEMS[str(cell["problem"])](config.num_samples)
    architecture = architecture_named(cell["architecture"], ARCHITECTURES)
    n = len(parts.trained_on.targets)
    names = (TRUE, PERMUTED)
    for one in layers_of(config, architecture, parts):
        # The layers of one network share a permutation.
        draw = np.random.default_rng(max(one.network, 0))
        labels = [np.hstack([part.targets, draw.permutation(part.targets)]) for part in parts]
        trained_on = Rows(one.features[:n], labels[0])
        held_out = Rows(one.features[n:], labels[1])
        yield Task(one, TRAINED_ON, names, own=trained_on, others=held_out)
        yield Task(one, HELD_OUT, names, own=held_out, others=trained_on)


def _of_labelings(config: Config, cell: Cell) -> Iterator[Task]:
    """All splits of the classes, on every representation of every draw."""
    images = images_of(str(cell["problem"]))
    n = config.per_class * CLASSES
    for draw in range(config.draws):
        chosen = drawn(config, images, draw)
        y = targets(chosen.labels)
        for one in representations_of(config, chosen, draw):
            own = Rows(one.features[:n], y[:n])
            yield Task(one, TRAINED_ON, SPLITS, own, others=Rows(one.features[n:], y[n:]))
