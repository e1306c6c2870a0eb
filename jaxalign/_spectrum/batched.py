"""Many representations at once: layers of a network, steps of a run, seeds of a study."""

import operator
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import (
    as_matrices,
    as_real_floats,
    as_target_matrix,
    as_target_numbers,
    require_finite,
    require_no_labels,
)
from jaxalign._core.float64 import exactly
from jaxalign._core.kinds import require_flag
from jaxalign._core.known import is_on_host
from jaxalign._core.linalg import CORES, gains_by_stack
from jaxalign._spectrum.classes import Class, shared
from jaxalign._spectrum.finish import finished, sizes_of, solved
from jaxalign._spectrum.routes import host
from jaxalign._spectrum.routes.table import Method, chosen_device, route_for
from jaxalign._spectrum.solve import leading, solve, solve_on_host, spectrum_of
from jaxalign._spectrum.types import Spectrum

WORTH_A_CALL = 1 << 23
"""n·d·min(n, d) of a matrix that takes longer to solve than to call; smaller ones are batched."""


def spectra(
    features: Mapping[str, ArrayLike] | Sequence[ArrayLike] | Array,
    targets: ArrayLike,
    *,
    method: Method = "auto",
    centered: bool = False,
) -> Any:
    """The label spectrum of each of several representations of the same targets.

    On an accelerator all are one program. There, those of similar width, to an eighth, are one
    batch of its eigensolver, padded with columns of zeros, which only add singular values of zero;
    on a GPU only if they are more than 6 or narrower than 128, since it takes longer for small
    batches. On a CPU they are spread over its cores (eager calls).

    Args:
      features: {name: (n, d_l)} or [(n, d_l), ...] of any widths; or (b, n, d).
      targets: (n, k) Y, or (n,) floats; for (b, n, d) features also (b, n, k), one for each.
      method: as in ``spectrum``.
      centered: as in ``spectrum``.

    Returns:
      {name: Spectrum} in the same order, [Spectrum, ...], or one Spectrum of leading axis b.

    Raises:
      as ``spectrum``, naming the representation.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> layers = {"first": jnp.eye(4)[:, :3], "second": 2 * jnp.eye(4)}
      >>> spectra = ja.spectra(layers, jnp.ones((4, 1)))
      >>> {name: s.singular_values.tolist() for name, s in spectra.items()}
      {'first': [1.0, 1.0, 1.0], 'second': [2.0, 2.0, 2.0, 2.0]}

    Source: ours.
    """
    require_flag(centered, "centered")
    if isinstance(features, Mapping):
        named = {f"features[{name!r}]": x for name, x in features.items()}
        return dict(zip(features, _solve(named, targets, method, centered), strict=True))
    if isinstance(features, list | tuple):
        named = {f"features[{i}]": x for i, x in enumerate(features)}
        return _solve(named, targets, method, centered)
    stack = cast(ArrayLike, features)
    return solved(partial(_solve_stack, method, centered), stack, targets, by_rows=True)


def _solve_stack(
    method: Method, centered: bool, x: Array | np.ndarray, y: Array | np.ndarray
) -> Spectrum:
    """``spectra`` of (b, n, d) features, before it is finished."""
    if x.ndim != 3:
        raise ValueError(
            "features must be (b, n, d), a list or a mapping of (n, d), "
            f"found an array of shape {x.shape}"
        )
    if y.ndim < 3:
        y = as_target_matrix(y)
        y = jnp.broadcast_to(y, (len(x), *y.shape))
    if x.shape[:2] != y.shape[:2]:
        raise ValueError(
            "features (b, n, d) and targets (b, n, k) must agree in b and n, "
            f"found {x.shape} and {y.shape}"
        )
    if 0 in (*x.shape, y.shape[2]):
        raise ValueError(
            f"features and targets must not be empty, found shapes {x.shape} and {y.shape}"
        )
    require_no_labels(y)
    x = as_real_floats(x, "features")
    y = as_real_floats(y, "targets")
    require_finite(x, "features")
    require_finite(y, "targets")
    route = route_for(method, x)
    _, n, d = x.shape
    can_be_on_host = route in host.ROUTES and is_on_host(x, y)
    if not can_be_on_host or n * d * min(n, d) < WORTH_A_CALL:
        return _in_one_program(x, y, route, centered)
    pairs = zip(np.asarray(x), np.asarray(y), strict=True)
    each = _on_all_cores([partial(solve_on_host, *pair, route, centered) for pair in pairs])
    return jax.tree.map(lambda *parts: np.stack(parts), *each)


@partial(jax.jit, static_argnums=(2, 3))
def _in_one_program(
    x: Float[Array, "b n d"], y: Float[Array, "b n k"], route: str, centered: bool
) -> Spectrum:
    return jax.vmap(partial(solve, route=route, centered=centered))(x, y)


def _on_all_cores(calls: Sequence[Callable[[], Spectrum]]) -> list[Spectrum]:
    """One call per core at a time: LAPACK has no faster batches on a CPU.

    The calls release Python's lock. None of them may run an XLA program: two at once share one
    thread pool and can deadlock.
    """
    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(operator.call, calls))


def _solve(
    features: Mapping[str, ArrayLike], targets: ArrayLike, method: Method, centered: bool
) -> list[Spectrum]:
    arrays = {name: as_numbers(x, name) for name, x in features.items()}
    goal = as_target_numbers(targets, list(arrays.values()))
    results = exactly(partial(_solve_each, method, centered, list(arrays)), goal, *arrays.values())
    return [
        finished(result, partial(sizes_of, x, goal), chosen_device(x))
        for x, result in zip(arrays.values(), results, strict=True)
    ]


def _solve_each(
    method: Method,
    centered: bool,
    names: list[str],
    goal: Array | np.ndarray,
    *features: Array | np.ndarray,
) -> list[Spectrum]:
    pairs = [_checked(name, x, goal) for name, x in zip(names, features, strict=True)]
    if not all(is_on_host(*pair) for pair in pairs):
        return _of_pairs(pairs, method, centered)
    routes = [route_for(method, x) for x, _ in pairs]
    if not set(routes) <= set(host.ROUTES):
        return [solve(x, y, route, centered) for (x, y), route in zip(pairs, routes, strict=True)]
    calls = [
        partial(solve_on_host, np.asarray(x), np.asarray(y), route, centered)
        for (x, y), route in zip(pairs, routes, strict=True)
    ]
    return _on_all_cores(calls)


@partial(jax.jit, static_argnums=(1, 2))
def _of_pairs(pairs: list[tuple[Array, Array]], method: Method, centered: bool) -> list[Spectrum]:
    """All as one program, with one batched eigensolver for each class. A CPU, which gains nothing
    from batches, pads nothing; a GPU, which loses by small ones, pads for larger ones alone.
    """
    own = classes_of(pairs, method)
    each = partial(in_batches, own, centered)
    if shared(own) == own:
        return each(pairs)
    on_tpu = partial(in_batches, shared(own), centered)
    on_gpu = partial(in_batches, shared(own, gains_by_stack), centered)
    return jax.lax.platform_dependent(pairs, cpu=each, tpu=on_tpu, default=on_gpu)


def classes_of(pairs: list[tuple[Array, Array]], method: Method) -> list[Class]:
    """The class of each Φ as it is, Y beside it."""
    return [
        Class(x.shape[1], len(x), y.shape[1], x.dtype.name, route_for(method, x)) for x, y in pairs
    ]


def in_batches(
    classes: Sequence[Class], centered: bool, pairs: list[tuple[Array, Array]]
) -> list[Spectrum]:
    """The spectra of Φ with the same Y each, those of one class as one batch."""
    results: dict[int, Spectrum] = {}
    for common in dict.fromkeys(classes):
        numbers = [i for i, own in enumerate(classes) if own == common]
        features = [pairs[i][0] for i in numbers]
        padded = jnp.stack([_padded(x, common.width) for x in features])
        # The rank tolerance is that of the matrix before it was padded.
        sizes = jnp.array([max(x.shape) for x in features], jnp.float32)
        solve_one = partial(spectrum_of, route=common.route, centered=centered)
        batch = jax.vmap(solve_one, (0, None, 0))(padded, pairs[numbers[0]][1], sizes)
        for place, i in enumerate(numbers):
            one = jax.tree.map(lambda part, place=place: part[place], batch)
            results[i] = leading(one, min(features[place].shape))
    return [results[i] for i in range(len(pairs))]


def _padded(features: Float[Array, "n d"], width: int) -> Float[Array, "n w"]:
    return jnp.pad(features, ((0, 0), (0, width - features.shape[1])))


def _checked(name: str, features: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    try:
        return as_matrices(features, targets)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from error
