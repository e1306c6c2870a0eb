"""Representations that do not fit in memory: their spectrum from a stream of batches."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, Literal

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxalign._core.batches import each_batch, first_of, require_stream
from jaxalign._core.kinds import require_flag, require_function
from jaxalign._core.known import known_values
from jaxalign._spectrum.moments import basis, moments
from jaxalign._spectrum.room import with_room
from jaxalign._spectrum.routes.table import require_method
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.triangle import triangle
from jaxalign._spectrum.types import Spectrum

PAIR = "(features, targets)"
KEYS = ("features", "targets")


Batch = tuple[ArrayLike, ...] | Mapping[str, ArrayLike]


def accumulate(
    batches: Iterable[Batch],
    each: Callable[..., Any] = moments,
    *,
    keys: Sequence[str] = KEYS,
) -> Any:
    """The summed moments of a stream of (features, targets) or (features, targets, weights), in the
    memory of one batch and one sum.

    Args:
      batches: any iterable; it is read once.
      each: what is summed: ``moments``, ``partial(moments, basis=...)`` for a second pass, or
        ``triangle``.
      keys: of features and targets, and perhaps weights, in batches that are dicts.

    Returns:
      The sum of what ``each`` makes of the batches: Moments, or a Triangle.

    Raises:
      ValueError: the stream yields nothing; batches that do not agree (see ``Moments.__add__``).
      TypeError: no stream of such tuples; ``each`` that is not a function.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> batches = ((np.eye(4, dtype=np.float32)[i : i + 2], np.ones((2, 1))) for i in (0, 2))
      >>> ja.spectrum(ja.accumulate(batches)).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    require_function(each, "each", "pass moments or triangle")
    parts = (each(*batch) for batch in each_batch(batches, PAIR, keys))
    first = first_of(parts, PAIR)
    return reduce(operator.add, parts, first)


def stream_spectrum(
    batches: Iterable[Batch],
    *,
    method: Literal["auto", "moments", "refined", "triangular", "split"] = "auto",
    centered: bool = False,
    keys: Sequence[str] = KEYS,
) -> Spectrum:
    """The label spectrum of all rows of a stream, in the memory of one batch and one sum of (d +
    2)(d + 1 + k) numbers.

    Args:
      batches: of (features, targets) or (features, targets, weights). A list or a data loader may
        be read twice, see ``method``.
      method: "moments": one pass. "refined": two, for the accuracy of a float64 SVD. "triangular":
        one pass of QR in the features' dtype. "split": one pass of exact products of integers,
        without float64 but in the sums. "auto": one, and a second where the stream can be
        read again and the condition number cost the first more than half the digits of the
        features' dtype.
      centered: about the mean of all rows.
      keys: of features and targets, and perhaps weights, in batches that are dicts.

    Returns:
      Spectrum of d singular values.

    Raises:
      ValueError: as ``accumulate``; an unknown method; "refined" for an iterator, which is used up
        after one pass; a second pass of another number of rows; sums and eigenvectors that memory
        has no room for, before any row is summed; "auto" for a list of batches inside jit.
      TypeError: as ``accumulate``.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> batches = [(np.eye(4, dtype=np.float32)[i : i + 2], np.ones((2, 1))) for i in (0, 2)]
      >>> ja.stream_spectrum(batches).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    require_method(method, ("moments", "refined", "triangular", "split"))
    require_flag(centered, "centered")
    require_stream(batches, PAIR)
    if method == "triangular":
        planned = with_room(each_batch(batches, PAIR, keys), 4)
        return spectrum(accumulate(planned, triangle), centered=centered)
    if method == "split":
        planned = with_room(each_batch(batches, PAIR, keys), 8)
        sums = accumulate(planned, partial(moments, method="split"))
        return spectrum(sums, method="split", centered=centered)
    # An iterator is its own iterator, and used up after one pass.
    can_be_read_again = iter(batches) is not batches
    if method == "refined" and not can_be_read_again:
        raise ValueError(
            "method 'refined' reads batches twice, found an iterator; "
            "pass a list, or what makes a new iterator"
        )
    first = accumulate(with_room(each_batch(batches, PAIR, keys), 8))
    result = spectrum(first, centered=centered)
    if method == "moments":
        return result
    if method == "auto" and not (can_be_read_again and _needs_second_pass(result)):
        return result
    coordinates = basis(first, centered=centered)
    second = accumulate(batches, partial(moments, basis=coordinates), keys=keys)
    weights = [known_values(sums.weight) for sums in (first, second)]
    if all(weight is not None for weight in weights) and weights[0] != weights[1]:
        raise ValueError(
            "batches must be the same on both passes, "
            f"found rows of weight {weights[0]} and then {weights[1]}"
        )
    return spectrum(second, basis=coordinates)


def _needs_second_pass(spectrum: Spectrum) -> bool:
    """Whether more than half the digits of the features' dtype are lost."""
    error = known_values(spectrum.error)
    if error is None:
        raise ValueError(
            "batches are traced, so whether they need a second pass cannot be read; "
            "pass method='moments' or 'refined'"
        )
    return bool(error > float(jnp.finfo(spectrum.dtype).eps) ** 0.5)
