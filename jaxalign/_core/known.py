"""What of an argument can be read now, in an eager call or while a program is traced."""

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike


def is_concrete(x: ArrayLike) -> bool:
    """Whether ``x`` has values that can be read now: that it is not traced."""
    return not isinstance(x, jax.core.Tracer)


def known_values(x: ArrayLike) -> np.ndarray | None:
    """The values of ``x``, None where it is traced or in part on the devices of other processes.

    Arrays of numpy, since inside jit jax traces every operation, also that of constants.
    """
    if not is_concrete(x):
        return None
    if isinstance(x, jax.Array) and not (x.is_fully_addressable or x.is_fully_replicated):
        return None
    return np.asarray(x)


def is_on_host(*arrays: Array | np.ndarray) -> bool:
    """Whether all values can be read now, each array on one CPU device, or of numpy where a CPU is
    the device that it would be placed on.
    """
    return all(map(_is_on_host, arrays))


def _is_on_host(x: Array | np.ndarray) -> bool:
    if isinstance(x, np.ndarray):
        return default_platform() == "cpu"
    return is_concrete(x) and [device.platform for device in x.devices()] == ["cpu"]


def default_platform() -> str:
    """The platform of the device that arrays of numpy are placed on."""
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform
