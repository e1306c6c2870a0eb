"""How far published networks are above the best reference: a line per network, task, choice of
layers and measure.
"""

from collections.abc import Sequence
from itertools import product

from pandas import DataFrame, Series

from jaxalign.studies.pretrained.choice import Layers
from jaxalign.studies.pretrained.design import DECIDING, PUBLISHED, UNTRAINED

LAST = "last layer"
BEST = "best layer"
"""Which layers are compared, alike on both sides: the last ones, or those that were the best on
other samples.
"""


def leads(table: DataFrame, layers: Layers, measures: Sequence[str] = tuple(DECIDING)) -> DataFrame:
    """Columns network, task, kind, layers, measure; value, of the published network; reference, the
    best one on this task; lead, the value less that of the reference.

    Of several seeds of the untrained network the highest counts.

    Args:
      table: of the study.
      layers: the choice of best layers; a network that it does not name has no such lines.
      measures: columns of the table.
    """
    lines = []
    for (network, task), rows in table.groupby(["network", "task"], sort=False):
        for way, measure in product(ways(rows, layers), measures):
            compared = compared_values(rows, layers, way, measure)
            rest = compared.drop(PUBLISHED)
            lines.append(
                {
                    "network": network,
                    "task": task,
                    "kind": rows["kind"].iloc[0],
                    "layers": way,
                    "measure": measure,
                    "value": compared[PUBLISHED],
                    "reference": rest.idxmax(),
                    "lead": compared[PUBLISHED] - rest.max(),
                }
            )
    return DataFrame(lines)


def ways(rows: DataFrame, layers: Layers) -> tuple[str, ...]:
    """Which layers of the network of these rows can be compared."""
    if rows["network"].iloc[0] in layers:
        return LAST, BEST
    return (LAST,)


def compared_values(rows: DataFrame, layers: Layers, way: str, measure: str) -> Series:
    """A measure of everything that is compared on one task with one network, by representation."""
    of_references = rows[rows["depth"] == 0].set_index("representation")[measure]
    of_networks = {
        representation: of_layer(rows, layers, way, representation, measure)[measure].max()
        for representation in (PUBLISHED, UNTRAINED)
    }
    return Series({**of_networks, **of_references})


def of_layer(
    rows: DataFrame, layers: Layers, way: str, representation: str, measure: str
) -> DataFrame:
    """The rows of the layer of one network that is compared: one row per task and seed.

    Where a measure decides nothing, the best layer is that of the first one that does.
    """
    own = rows[rows["representation"] == representation]
    if way == LAST:
        return own[own["last"]]
    chosen = layers[own["network"].iloc[0]][representation]
    return own[own["layer"] == chosen.get(measure, chosen[next(iter(DECIDING))])]
