"""Parts of the table of emergence: a row per seed, a column per cell."""

from pandas import DataFrame

FACTORS = ["architecture", "problem", "optimizer"]
Levels = tuple[str, ...]
"""Of one cell, in the order of ``FACTORS``."""


def by_seed(table: DataFrame, value: str) -> DataFrame:
    """A value of one layer: a row per seed, a column per cell."""
    return table.pivot(index="seed", columns=FACTORS, values=value)


def of_span(table: DataFrame) -> DataFrame:
    """The table with areas over ‖Py‖²√n, of the larger ‖Py‖² of a network's two states."""
    allowed = table[["in_span_untrained", "in_span_trained"]].max(axis=1)
    return table.assign(untrained=table["untrained"] / allowed, trained=table["trained"] / allowed)


def relative_losses(table: DataFrame) -> dict[Levels, float]:
    """Levels of a cell → its last loss as a share of that of the best constant answer; NaN if a
    seed diverged.
    """
    # Means of numpy arrays, since those of pandas leave out NaN.
    return {
        levels: cell["loss_end"].to_numpy().mean() / cell["loss_constant"].to_numpy().mean()
        for levels, cell in table.groupby(FACTORS, sort=False)
    }
