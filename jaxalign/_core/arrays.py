"""The border where arrays of numbers come in: no value changes before jax sees it."""

from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_NUMBERS = (Real, Decimal, np.bool_)
# All integers up to here are exact in float32.
_FLOAT32_INTEGERS = 2**24


def as_numbers(x: Any, name: str) -> Array | np.ndarray:
    """``x`` as an array of real numbers in its own dtype: one of jax as it is, traced or not,
    anything else as an array of numpy.

    Nested lists, arrays of objects that are numbers, pandas, polars and torch are converted.

    Raises:
      TypeError: no array of real numbers: text, dates, None, a dict, complex or sparse values.
      ValueError: a ragged list; a masked array with masked values.
    """
    if not isinstance(x, jax.Array) and hasattr(x, "__jax_array__"):  # as flax's variables
        x = x.__jax_array__()
    if isinstance(x, jax.Array):
        _require_real(x.dtype, x, name)
        _require_kept(x, name)
        return x
    return _as_numpy_numbers(_as_numpy(x, name), x, name)


def _require_kept(x: Array, name: str) -> None:
    if not isinstance(x, jax.core.Tracer) and x.is_deleted():
        raise ValueError(
            f"{name} was deleted, or donated to a program, found an array of shape {x.shape} "
            "without values; pass a copy that is kept"
        )


def _as_numpy(x: Any, name: str) -> np.ndarray | Array:
    """The values of any container as numpy reads them."""
    if type(x) is np.ndarray:
        return x
    if isinstance(x, list | tuple):
        return _stacked(x, name)
    if isinstance(x, np.ma.MaskedArray):
        return _unmasked(x, name)
    if _is_sparse(x):
        raise TypeError(f"{name} is sparse, a {type(x).__name__}; pass its dense array")
    try:
        return _read(x)
    except Exception as error:  # a container of another library may raise anything
        raise TypeError(
            f"{name} must be an array of numbers, found a {type(x).__name__} "
            f"that does not become one: {error}"
        ) from error


def _read(x: Any) -> np.ndarray:
    if type(x).__module__.partition(".")[0] == "torch":
        return _of_torch(x)
    if hasattr(x, "to_numpy"):  # pandas, polars, xarray
        return np.asarray(x.to_numpy())
    return np.asarray(x)


def _stacked(x: list | tuple, name: str) -> np.ndarray | Array:
    """A nested list of numbers and arrays as one array."""
    if set(map(type, x)) <= {bool, int, float}:
        return np.asarray(x)
    elements = [as_numbers(value, name) for value in x]
    if any(isinstance(value, jax.core.Tracer) for value in elements):
        return jnp.stack([jnp.asarray(value) for value in elements])
    shapes = {getattr(value, "shape", ()) for value in elements}
    if len(shapes) > 1:
        raise ValueError(
            f"{name} must be rectangular, found a list of parts of shapes "
            f"{', '.join(map(str, sorted(shapes)))}"
        )
    return np.asarray(elements)


def _unmasked(x: np.ma.MaskedArray, name: str) -> np.ndarray:
    masked = int(np.ma.count_masked(x))
    if masked > 0:
        raise ValueError(
            f"{name} is a masked array with {masked} masked values; "
            f"fill them with {name}.filled(), or drop their rows"
        )
    return np.asarray(x.data)


def _is_sparse(x: Any) -> bool:
    """Whether ``x`` is sparse: of scipy, jax or torch."""
    if hasattr(x, "todense") or hasattr(x, "to_dense"):
        layout = str(getattr(x, "layout", "sparse"))  # torch's dense tensors have to_dense as well
        return "strided" not in layout
    return False


def _of_torch(x: Any) -> np.ndarray:
    values = x.detach().cpu().resolve_conj().resolve_neg()
    if str(values.dtype) == "torch.bfloat16" or "float8" in str(values.dtype):
        values = values.float()  # numpy has neither
    return values.numpy()


def _as_numpy_numbers(values: np.ndarray | Array, x: Any, name: str) -> np.ndarray | Array:
    """``values`` in a dtype that jax has; ``x`` is what they were read from."""
    if isinstance(values, jax.Array):
        return values
    if values.dtype == object:
        return _of_objects(values, x, name)
    _require_real(values.dtype, x, name)
    if values.dtype == np.longdouble and values.dtype.itemsize > 8:
        return narrowed(values, np.float64, name)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _of_objects(values: np.ndarray, x: Any, name: str) -> np.ndarray:
    """An array of Python's numbers, as float64."""
    strangers = [
        (place, value) for place, value in _with_places(values) if not isinstance(value, _NUMBERS)
    ]
    if strangers:
        place, value = strangers[0]
        where = f", with a {type(value).__name__} at index {place}" if values.ndim else ""
        raise TypeError(f"{name} must be an array of numbers, found a {type(x).__name__}{where}")
    try:
        natural = np.asarray(values.tolist())  # integers stay integers
        return natural if natural.dtype != object else values.astype(np.float64)
    except OverflowError as error:
        raise ValueError(
            f"{name} must fit in float64, found a number beyond it; divide {name} by a constant"
        ) from error


def _with_places(values: np.ndarray) -> Iterable[tuple[tuple[int, ...], Any]]:
    return zip(np.ndindex(values.shape), values.ravel().tolist(), strict=True)


def _require_real(dtype: Any, x: Any, name: str) -> None:
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(
            f"{name} must be real, found dtype {dtype}; "
            "pass its real and imaginary parts as columns"
        )
    # numpy counts durations as integers.
    is_duration = jnp.issubdtype(dtype, np.timedelta64)
    is_number = any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating))
    if is_number and not is_duration:
        return
    raise TypeError(
        f"{name} must be an array of numbers, found a {type(x).__name__} of dtype {dtype}"
    )


def needs_float64(x: Array | np.ndarray) -> bool:
    """Whether values that can be read now would lose digits in float32, of which it has 24 binary
    ones: those of float64, and integers beyond 2²⁴.
    """
    if isinstance(x, jax.core.Tracer) or x.size == 0:
        return False
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return x.dtype == np.float64
    if x.dtype.itemsize < 4:
        return False
    is_of_others = isinstance(x, jax.Array) and not x.is_fully_addressable
    values = x if is_of_others else np.asarray(x)  # a global array is reduced where it lies
    return int(values.max()) > _FLOAT32_INTEGERS or int(values.min()) < -_FLOAT32_INTEGERS


def in_program(x: Array | np.ndarray, name: str) -> Array | np.ndarray:
    """Numbers in the dtype that they have inside a program: with x64 off, int32 for int64 and
    float32 for float64. What does not lie on a device stays on the host.

    Raises:
      ValueError: numbers outside that dtype.
    """
    if isinstance(x, jax.Array):
        return x
    dtype = jax.dtypes.canonicalize_dtype(x.dtype)
    if dtype == x.dtype or x.size == 0:
        return x.astype(dtype, copy=False)
    if not jnp.issubdtype(dtype, jnp.integer):
        return narrowed(x, dtype, name)
    held = jnp.iinfo(dtype)
    worst = max(int(x.max()), -int(x.min()))
    if worst > held.max:
        raise ValueError(
            f"{name} must fit in {dtype}, found {worst}; "
            "set jax_enable_x64, or divide or renumber them"
        )
    return x.astype(dtype)


def narrowed(values: np.ndarray, dtype: Any, name: str) -> np.ndarray:
    """A copy of ``values`` in another dtype; finite values that become infinite are refused."""
    if np.can_cast(values.dtype, dtype):
        return values.astype(dtype)
    with np.errstate(over="ignore"):
        result = values.astype(dtype)
    if bool((~np.isfinite(result) & np.isfinite(values)).any()):
        largest = np.max(np.abs(values[np.isfinite(values)]))
        raise ValueError(
            f"{name} must fit in {np.dtype(dtype).name}, found values up to "
            f"{np.format_float_scientific(largest, 1)}; divide {name} by a constant"
        )
    return result
