"""Whether moments, which are sums about 0, still know the spread about the mean."""

import numpy as np

from jaxalign._core.checks import is_concrete
from jaxalign._spectrum.moments import Moments

# With squares about the mean of at least this share of those about 0, rounding in float64 costs
# σ no more digits than float32 has.
_SMALLEST_SHARE = 2.0**-30


def require_digits_about_mean(moments: Moments) -> None:
    """Raise where the spread about the mean is lost to rounding in sums about 0 (eager calls)."""
    if not is_concrete(moments.products):
        return
    products = np.asarray(moments.products)
    d = moments.width
    squares = np.concatenate([np.diagonal(products)[:d], products[-1, d + 1 :]])
    spread = squares - np.delete(products[d], d) ** 2 / products[d, d]
    _require_digits("features", squares[:d].max(), spread[:d].max())
    for square, own in zip(squares[d:], spread[d:], strict=True):
        _require_digits("targets", square, own)


def _require_digits(name: str, square: float, spread: float) -> None:
    if spread != 0 and abs(spread) < square * _SMALLEST_SHARE:
        raise ValueError(
            f"{name} are {(square / abs(spread)) ** 0.5:.0e} times as far from 0 as from their "
            f"mean, and sums about 0 keep no digits; subtract a constant from {name} first, "
            "or use triangle"
        )
