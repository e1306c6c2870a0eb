"""The value of a measure as it is logged: numbers, of the axes that the measure names."""

from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxalign.monitoring._measures import Measure, TargetsAs


def logged(
    name: str, layer: str, measure: Measure, arguments: tuple, targets_as: TargetsAs
) -> Array:
    """A measure's value as it is logged, checked.

    Raises:
      ValueError: it is not an array of numbers, or does not fit the coordinates.
    """
    what = f"measure {name!r} of layer {layer!r}"
    # Moments are float64 whatever the x64 flag says.
    scope = jax.enable_x64(True) if measure.source == "moments" else nullcontext()
    with scope:
        try:
            value = measure.function(*arguments)
        except Exception as error:
            raise ValueError(f"{what} failed: {type(error).__name__}: {error}") from error
        array = _as_numbers(value, what)
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)  # float32 for float64, unless x64 is on
    if array.dtype != dtype:
        with jax.enable_x64(True):
            array = array.astype(dtype)
    one_number = array.shape == (1,) and not measure.coordinates
    if measure.of_each_target and targets_as == "mean":
        array = array.mean(axis=-1)
    elif one_number or (measure.of_each_target and array.shape[-1] == 1):
        array = array[..., 0]
    sizes = tuple(len(values) for values in measure.coordinates.values())
    if sizes and array.shape[: len(sizes)] != sizes:
        raise ValueError(
            f"{what} must begin with axes of {sizes}, those of its coordinates "
            f"{list(measure.coordinates)}, found shape {array.shape}"
        )
    return array


def _as_numbers(value: Any, what: str) -> Array:
    """A measure's value as an array of real numbers."""
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must return an array of numbers, found a {type(value).__name__}"
        ) from error
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        raise ValueError(f"{what} must return an array of numbers, found {array.dtype}")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{what} must return real numbers, found {array.dtype}")
    return array
