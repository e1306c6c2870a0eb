"""The table of a study: its rows as a DataFrame, and as a CSV file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxalign.studies.framework.extra import require
from jaxalign.studies.framework.study import Row

if TYPE_CHECKING:
    from pandas import DataFrame


def table_of(rows: Sequence[Row]) -> "DataFrame":
    """The table of all rows, in their order.

    Raises:
      ValueError: no rows, or a row whose columns are not those of the first.
      ModuleNotFoundError: pandas is not installed.
    """
    if not rows:
        raise ValueError("the study has no rows; measure must return at least one")
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise ValueError(
                f"all rows must have the columns of the first, {', '.join(rows[0])}; "
                f"row {number} has {', '.join(row)}"
            )
    return require("pandas").DataFrame(list(rows))


def write_table(table: "DataFrame", file: Path) -> None:
    """Write a table as CSV, floats in seven digits, NaN as "nan"."""
    table.to_csv(file, index=False, float_format="%.7g", na_rep="nan", lineterminator="\n")


def read_table(file: Path) -> "DataFrame":
    """Read the CSV file of a table; only "nan" is a missing value.

    Raises:
      FileNotFoundError: there is no such file.
      ModuleNotFoundError: pandas is not installed.
    """
    table: DataFrame = require("pandas").read_csv(
        file, keep_default_na=False, na_values=["nan"], low_memory=False
    )
    return table
