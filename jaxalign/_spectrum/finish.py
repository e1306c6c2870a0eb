"""The borders of an eager call: Φ and Y come in as they are, and their spectrum goes out in a dtype
that jax has, in that dtype's range, on the device.
"""

import operator
from collections.abc import Callable
from functools import cache, partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_target_numbers, power_of_ten
from jaxalign._core.float64 import exactly, jax_has_float64
from jaxalign._core.known import is_concrete
from jaxalign._spectrum.routes.table import chosen_device
from jaxalign._spectrum.types import ROUTE_NAMES, Spectrum

_FAILED = "the eigensolver failed on finite input; pass method='svd', or scale the features"


class Sizes(NamedTuple):
    """The largest |φ|, and the largest |y_j| of each target."""

    features: float
    targets: Float[np.ndarray, "*batch k"]


def sizes_of(features: Any, targets: Any) -> Sizes:
    """The Sizes of Φ (..., n, d) and Y (..., n, k), or (n,)."""
    y = np.abs(np.asarray(targets, np.float64))
    columns = y[:, None] if y.ndim == 1 else y
    return Sizes(float(np.abs(np.asarray(features, np.float64)).max()), columns.max(axis=-2))


def solved(
    solve: Callable[..., Spectrum],
    features: ArrayLike,
    targets: ArrayLike,
    *others: Array,
    by_rows: bool = False,
) -> Spectrum:
    """The Spectrum that ``solve`` computes from Φ and Y as ``as_numbers`` reads them, and other
    arrays, in float64 where they need it, ``finished``. ``by_rows`` is for batches, as of
    ``on_automatic_axes``.
    """
    phi = as_numbers(features, "features")
    y = as_target_numbers(targets, [phi])
    result = exactly(solve, phi, y, *others, by_rows=by_rows)
    return finished(result, partial(sizes_of, phi, y), chosen_device(phi))


def finished(
    result: Spectrum, sizes: Callable[[], Sizes], device: jax.Device | None = None
) -> Spectrum:
    """``result``, of numpy or jax arrays; those of numpy are placed on the device. A traced one is
    returned as it is.

    Args:
      result: of one representation or of a batch. float64 becomes float32 where x64 is off.
      sizes: of the arrays it was computed from; called where the result is out of range.
      device: that the features were put on, for arrays of numpy and those on the default device;
        None if they were put on none.

    Raises:
      ValueError: σ_1 or ‖y‖² is out of the range of the dtype.
      FloatingPointError: the result is not finite, though all arrays are in range: a LAPACK or
        cuSOLVER routine failed.
    """
    leaves = jax.tree.leaves(result)
    if not all(map(is_concrete, leaves)):
        return result
    result = jax.tree.map(_in_dtype_of_jax, result)
    are_of_jax = [x for x in jax.tree.leaves(result) if isinstance(x, jax.Array)]
    if not are_of_jax:
        ordinary = bool(_is_ordinary(np, result))
    elif all(x.is_fully_addressable for x in are_of_jax):
        # All copies from an accelerator are under way before the first is waited for.
        ordinary = bool(_is_ordinary(np, jax.device_get(result)))
    else:
        ordinary = bool(_is_ordinary_on_device(result))
    if not ordinary:
        _require_range(jax.tree.map(np.asarray, result), sizes())
    is_placed = len(are_of_jax) == len(leaves)
    # Where only the features were put on a device, what jax computed may be on the default one.
    if is_placed and (device is None or all(x.committed for x in are_of_jax)):
        return result
    if device is None:
        return _placed(result)
    return jax.device_put(result, device)


@jax.jit
def _placed(result: Spectrum) -> Spectrum:
    """``result`` as arrays of jax, in a third of the time that one call for each leaf takes."""
    return result


def _in_dtype_of_jax(x: Array | np.ndarray | np.generic) -> Array | np.ndarray | np.generic:
    if x.dtype != np.float64 or jax_has_float64():
        return x
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(x).astype(np.float32)


def _is_ordinary(xp: Any, result: Spectrum) -> Any:
    """Whether all is finite, and every σ_1 and ‖y‖² so large that shares of it keep digits."""
    least = _least(result.singular_values.dtype)
    is_finite = xp.isfinite(result.singular_values).all() & xp.isfinite(result.energy).all()
    is_held = (result.singular_values[..., 0] >= _least_of_largest(xp, result)).all()
    is_held &= (result.total >= least).all()
    return is_finite & is_held & xp.isfinite(result.total).all()


_is_ordinary_on_device = jax.jit(partial(_is_ordinary, jnp))


@cache
def _least(dtype: Any) -> float:
    """The smallest number of which every share down to eps is an ordinary number of the dtype."""
    return float(jnp.finfo(dtype).tiny) / float(jnp.finfo(dtype).eps)


def _least_of_largest(xp: Any, result: Spectrum) -> Any:
    """The smallest σ_1 whose shares keep their digits on the way of each spectrum."""
    dtype = result.singular_values.dtype
    if dtype != np.float64:  # squares of float32 are ordinary numbers of float64
        return _least(dtype)
    squares = reduce(operator.or_, [result.route == route for route in _BY_SQUARES])
    return xp.where(squares, _least(dtype) ** 0.5, _least(dtype))


_BY_SQUARES = tuple(map(ROUTE_NAMES.index, ("moments", "refined", "quadrature")))


def _require_range(result: Spectrum, sizes: Sizes) -> None:
    dtype = result.singular_values.dtype
    least = _least(dtype)
    largest = result.singular_values[..., 0]
    least_of_largest = _least_of_largest(np, result)
    # Rounding leaves less than this of constant columns about their mean.
    is_small = (sizes.features > 0) & (sizes.features < least_of_largest)
    if np.any(is_small & (largest < least_of_largest)):
        _raise_for_range("singular values", "features", sizes.features, dtype)
    if not np.isfinite(largest).all():
        _raise_for("singular values", "features", sizes.features, dtype)
    if not np.isfinite(result.total).all():
        _raise_for("‖y‖²", "targets", float(sizes.targets.max()), dtype)
    are_small = (sizes.targets > 0) & (sizes.targets**2 < least)
    if are_small.any() and (result.total < least).any():
        _raise_for_range("‖y‖²", "targets", float(sizes.targets[are_small].min()), dtype)
    if not np.isfinite(result.energy).all():
        raise FloatingPointError(_FAILED)


def _raise_for(what: str, name: str, size: float, dtype: np.dtype) -> None:
    # With squares this far from the largest number the range is not the reason.
    enough = float(jnp.finfo(dtype).max) ** 0.5 / 1e6
    if 1 / enough < size < enough:
        raise FloatingPointError(_FAILED)
    _raise_for_range(what, name, size, dtype)


def _raise_for_range(what: str, name: str, size: float, dtype: np.dtype) -> None:
    raise ValueError(
        f"{what} are outside the range of {dtype}, found {name} up to {size:.1e}; "
        f"divide {name} by {power_of_ten(size):.0e}"
    )
