"""True float64 inside a float32 program.

``with jax.enable_x64(True)`` around the tracing of an operation is enough under ``jit`` and
``lax.scan``, but not under ``vmap`` of a function that was traced before: batching rewrites its
equations outside the context, where jax cuts float64 down to float32. The batching rule below
enters the context again, at any depth of ``vmap``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.arrays import needs_float64
from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.derivatives import ONLY_ONCE, without_derivative
from jaxalign._core.platform import on_platform

Result = TypeVar("Result")


def exactly(function: Callable[..., Result], *arguments: Any, by_rows: bool = False) -> Result:
    """``function(*arguments)`` on any mesh, and as if x64 were on where one of the arrays, as
    ``as_numbers`` gave them, would lose digits in float32. Where one of them is traced, x64 stays
    as it is.

    Results may then hold float64; pass them on through ``finished`` or as arrays of numpy. See
    ``on_automatic_axes`` for ``by_rows``.
    """
    run = partial(on_automatic_axes, function, by_rows=by_rows)
    given = [x for x in arguments if isinstance(x, jax.Array | np.ndarray)]
    is_traced = any(isinstance(x, jax.core.Tracer) for x in given)
    if jax_has_float64() or is_traced or not any(map(needs_float64, given)):
        return run(*arguments)
    with jax.enable_x64(True), _host_for(given):
        return run(*arguments)


def jax_has_float64() -> bool:
    """Whether x64 is on."""
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def of_jax_or_numpy(x: Array) -> Array | np.ndarray:
    """``x``, as an array of numpy where it is of float64 and jax, with x64 off, has no float64."""
    if x.dtype != np.float64 or jax_has_float64():
        return x
    if isinstance(x, jax.core.Tracer):
        return x.astype(np.float32)
    return np.asarray(x)


@contextmanager
def _host_for(arrays: list[Any]) -> Iterator[None]:
    """The CPU as the default device for arrays of numpy, where jax has it beside the accelerator;
    arrays of jax are computed where they are.
    """
    host = None
    if not any(isinstance(x, jax.Array) for x in arrays):
        # JAX_PLATFORMS=cuda leaves jax without a CPU.
        with suppress(RuntimeError):
            host = jax.local_devices(backend="cpu")[0]
    with nullcontext() if host is None else jax.default_device(host):
        yield


def float64_inside(function: Callable) -> Callable:
    """``function`` (pytrees of arrays in and out) traced with float64 allowed, under every
    transformation except differentiation.

    Cast arguments up and results down inside ``function``: arguments and results obey the caller's
    x64 setting. Derivatives need a rule of their own around it (``jax.custom_vjp``).
    """

    @jax.custom_batching.custom_vmap
    def scoped(*args):
        with jax.enable_x64(True):
            return function(*args)

    @scoped.def_vmap
    def batched(axis_size, in_batched, *args):
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(in_batched))
        # The batched function needs the same rule, for the next vmap around this one.
        with jax.enable_x64(True):
            results = float64_inside(jax.vmap(function, in_axes=axes, axis_size=axis_size))(*args)
        return results, jax.tree.map(lambda _: True, results)

    return partial(on_automatic_axes, scoped)


def float64_array(x: Array | np.ndarray, device: jax.Device | None = None) -> Array:
    """An array of jax, of float64 where ``x`` is, whatever x64 says."""
    with jax.enable_x64(True):
        return jnp.asarray(x, device=device)


def float64_with_derivative(function: Callable) -> Callable:
    """``function`` of float arrays of one dtype, in float64 or, on a TPU, in float32, with a
    derivative that is computed likewise: in reverse mode, once. Results have the arrays' dtype.
    """

    @jax.custom_vjp
    def value(*arrays):
        return _in_float64_but_on_tpu(function, *arrays)

    def forward(*arrays):
        # Only the arguments are residuals, so that float64 never leaves its scope.
        return without_derivative(value, ONLY_ONCE)(*arrays), arrays

    def backward(arrays, cotangents):
        leaves, tree = jax.tree.flatten(cotangents)
        count = len(arrays)

        def pulled_back(*arrays):
            bars = jax.tree.unflatten(tree, arrays[count:])
            return jax.vjp(function, *arrays[:count])[1](bars)

        run = partial(_in_float64_but_on_tpu, pulled_back)
        return without_derivative(run, ONLY_ONCE)(*arrays, *leaves)

    value.defvjp(forward, backward)
    return value


def _in_float64_but_on_tpu(function: Callable, *arrays: Array) -> Any:
    dtype = arrays[0].dtype

    def in_float64(*arrays: Array) -> Any:
        results = function(*(x.astype(np.float64) for x in arrays))
        return jax.tree.map(lambda x: x.astype(dtype), results)

    on_tpu = function if dtype == np.float32 else _refuse_float64
    return on_platform(float64_inside(in_float64), on_tpu, *arrays)


def _refuse_float64(*arrays: Array) -> Any:
    raise ValueError(
        "arrays must be float32 on a TPU, which has no float64, found float64; "
        "pass x.astype('float32'), or compute on a CPU"
    )
