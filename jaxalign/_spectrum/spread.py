"""Whether moments and triangles, which are about 0, still know the spread about the mean."""

import numpy as np
from jaxtyping import Float

from jaxalign._core.known import is_concrete
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.triangle import Triangle

# With squares about the mean of at least this share of those about 0, rounding in float64 costs
# σ no more digits than float32 has.
_SMALLEST_SHARE = 2.0**-30
# What keeps more digits of such features.
_OTHER = {"float32": "", "float64": ", or use triangle"}


def require_digits_about_mean(sums: Moments | Triangle) -> None:
    """Raise where too much of the spread about the mean is lost to rounding about 0 (eager calls).

    So much that σ has less than the digits of float32; for a triangle in float32, less than half of
    them.
    """
    if isinstance(sums, Triangle):
        _require_digits_of_triangle(sums)
    elif is_concrete(sums.products):
        _require_digits_of_moments(sums)


def _require_digits_of_moments(moments: Moments) -> None:
    products = np.asarray(moments.products)
    d = moments.width
    if not products[d, d] > 0:
        raise ValueError("moments must hold rows to have a mean, found weights that add up to 0")
    squares = np.concatenate([np.diagonal(products)[:d], products[-1, d + 1 :]])
    spread = squares - np.delete(products[d], d) ** 2 / products[d, d]
    _require_digits(squares, spread, d, _SMALLEST_SHARE, _OTHER[moments.precision])


def _require_digits_of_triangle(triangle: Triangle) -> None:
    if not is_concrete(triangle.factor):
        return
    factor = np.asarray(triangle.factor)
    if factor[0, 0] == 0:
        raise ValueError("a triangle must hold rows to have a mean, found none, or weights of 0")
    eps = float(np.finfo(factor.dtype).eps)
    squares = np.sum(factor[:, 1:].astype(np.float64) ** 2, axis=0)
    spread = np.sum(factor[1:, 1:].astype(np.float64) ** 2, axis=0)
    # Of a target that is constant rounding is left.
    is_target = np.arange(len(squares)) >= triangle.width
    spread[is_target & (spread <= squares * (4 * eps) ** 2)] = 0
    # Nothing was squared: the rounding is eps times the quotient of the two norms.
    least = (eps / max(2.0**-22, eps**0.5)) ** 2
    _require_digits(squares, spread, triangle.width, least)


def _require_digits(
    squares: Float[np.ndarray, " w"],
    spread: Float[np.ndarray, " w"],
    d: int,
    least: float,
    other: str = "",
) -> None:
    """Raise for features, or a target, whose squares about the mean are less than the ``least``
    share of those about 0.
    """
    pairs = [("features", squares[:d].max(), spread[:d].max())]
    pairs += [("targets", *pair) for pair in zip(squares[d:], spread[d:], strict=True)]
    for name, square, own in pairs:
        if own != 0 and abs(own) < square * least:
            raise ValueError(
                f"{name} are {(square / abs(own)) ** 0.5:.0e} times as far from 0 as from their "
                f"mean, which leaves too few digits; subtract a constant from {name} first{other}"
            )
