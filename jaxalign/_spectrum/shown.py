"""A spectrum as a table: how much of the targets its first directions hold."""

from typing import Any

import numpy as np
from rich.text import Text

from jaxalign._core.tables import titled_table
from jaxalign._spectrum.types import is_one_readable

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Directions whose sums are shown, and all within the rank."""


def as_table(spectrum: Any) -> Any:
    """A rich table of a Spectrum; its repr where it is traced, or a batch."""
    if not is_one_readable(spectrum):
        return Text(repr(spectrum))
    sigma = np.asarray(spectrum.singular_values)
    total = np.asarray(spectrum.total)
    # A target of zeros has no share.
    each = np.asarray(spectrum.energy) / np.where(total > 0, total, np.nan)
    shares = np.cumsum(each.mean(axis=1))
    last = int(spectrum.rank) if int(spectrum.rank) > 0 else len(sigma)
    counts = [*(count for count in COUNTS if count < last), last]
    rows = [(f"{k:,}", f"{sigma[k - 1]:.3g}", f"{shares[k - 1]:.1%}") for k in counts]
    return titled_table(repr(spectrum), ("directions", "σ down to", "of ‖y‖²"), rows)
