"""The options of data in tables and arrays. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass

from jaxalign.cli.choices import Categories, Decimal, Header, Many, Missing


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a .csv or an .npz is read."""

    # The labels: a column of a .csv, by default the last; an array of an .npz, by default y; a
    # column of a data set of Hugging Face's; in a .tar cls, txt, json or json.FIELD.
    label: str | None = None
    # The array of inputs in an .npz, by default x; or a column of a data set of Hugging Face's.
    inputs: str | None = None
    # Whether the first line of a .csv names its columns.
    header: Header = "auto"
    # Columns of a .csv to leave out.
    ignore: Many[str] = ()
    # What becomes of the rows of a .csv that lack a value: refuse the file, or drop them.
    missing: Missing = "refuse"
    # What becomes of a column of text in a .csv: refuse the file, or one-hot, a column of 0 and 1
    # for each value.
    categories: Categories = "refuse"
    # The decimal mark of a .csv.
    decimal: Decimal = "auto"
    # The encoding of a .csv.
    encoding: str = "utf-8"
