"""Representations that do not fit in memory: their spectrum from a stream of batches."""

import operator
from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Any, Literal

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxalign._spectrum.moments import basis, moments
from jaxalign._spectrum.routes.table import require_method
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.triangle import triangle
from jaxalign._spectrum.types import Spectrum


def accumulate(batches: Iterable[tuple[ArrayLike, ...]], each: Callable[..., Any] = moments) -> Any:
    """The moments of a stream of (features, targets) or (features, targets, weights), in the memory
    of one batch and one sum.

    Args:
      batches: any iterable; it is read once.
      each: what is summed: ``moments``, ``partial(moments, basis=...)`` for a second pass, or
        ``triangle``.

    Raises:
      ValueError: the stream yields nothing; batches that do not agree (see ``Moments.__add__``).

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> batches = ((np.eye(4, dtype=np.float32)[i : i + 2], np.ones((2, 1))) for i in (0, 2))
      >>> ja.spectrum(ja.accumulate(batches)).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    parts = (each(*batch) for batch in batches)
    first = next(parts, None)
    if first is None:
        raise ValueError(
            "batches must yield at least one (features, targets), found none; is the iterator used up?"
        )
    return reduce(operator.add, parts, first)


def stream_spectrum(
    batches: Iterable[tuple[ArrayLike, ...]],
    *,
    method: Literal["auto", "moments", "refined", "triangular"] = "auto",
    centered: bool = False,
) -> Spectrum:
    """The label spectrum of all rows of a stream, in the memory of one batch and one sum of (d +
    2)(d + 1 + k) numbers.

    Args:
      batches: of (features, targets) or (features, targets, weights). What can be read twice (a
        list, a data loader) may be.
      method: "moments": one pass; "refined": two, for the accuracy of a float64 SVD; "triangular":
        one pass of QR in the features' dtype; "auto": one, and a second where the first lost more
        than half the digits of the features' dtype to the condition number and the stream can be
        read again.
      centered: about the mean of all rows.

    Returns:
      Spectrum of d singular values.

    Raises:
      ValueError: as ``accumulate``; an unknown method; "refined" for an iterator that is used up
        after one pass, or whose second pass yields other rows in number.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> batches = [(np.eye(4, dtype=np.float32)[i : i + 2], np.ones((2, 1))) for i in (0, 2)]
      >>> ja.stream_spectrum(batches).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    require_method(method, ("moments", "refined", "triangular"))
    if method == "triangular":
        return spectrum(accumulate(batches, triangle), centered=centered)
    can_be_read_again = iter(batches) is not batches
    if method == "refined" and not can_be_read_again:
        raise ValueError(
            "method 'refined' reads batches twice, found an iterator; pass a list, or what makes a new iterator"
        )
    first = accumulate(batches)
    found = spectrum(first, centered=centered)
    if method == "moments":
        return found
    if method == "auto" and not (can_be_read_again and _calls_for_more(found)):
        return found
    better = basis(first, centered=centered)
    second = accumulate(batches, partial(moments, basis=better))
    if (rows := second.weight) != first.weight:
        raise ValueError(
            f"batches must be the same on both passes, found rows of weight {first.weight} and then {rows}"
        )
    return spectrum(second, basis=better)


def _calls_for_more(spectrum: Spectrum) -> bool:
    """Whether more than half the digits of the features' dtype were lost."""
    return bool(spectrum.error > float(jnp.finfo(spectrum.dtype).eps) ** 0.5)
