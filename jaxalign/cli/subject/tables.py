"""The options of data in tables and arrays. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass

from jaxalign.cli.choices import Categories, Decimal, Header, Missing


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a .csv or an .npz is read."""

    label: str | None = None
    """The labels: a column of a .csv, by default the last; an array of an .npz, by default y; a
    column of a data set of Hugging Face's; in a .tar cls, txt, json or json.FIELD."""
    inputs: str | None = None
    """The array of inputs in an .npz, by default x; or a column of a data set of Hugging Face's."""
    header: Header = "auto"
    """Whether the first line of a .csv names its columns."""
    ignore: tuple[str, ...] = ()
    """Columns of a .csv to leave out."""
    missing: Missing = "refuse"
    """Drop the rows of a .csv that lack a value."""
    categories: Categories = "refuse"
    """Make columns of 0 and 1 of a column of text in a .csv."""
    decimal: Decimal = "auto"
    """The decimal mark of a .csv."""
    encoding: str = "utf-8"
    """Of the text of a .csv."""
