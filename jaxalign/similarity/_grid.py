"""A measure of all pairs of two lists of representations: layers by layers, steps, models."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_dtype, as_real_floats, require_finite, require_matrix
from jaxalign._core.float64 import exactly
from jaxalign._core.kinds import found, require_function
from jaxalign._core.linalg import matmul
from jaxalign.similarity._cka import linear_cka
from jaxalign.similarity._estimators import cka_of, explained, rows_for
from jaxalign.similarity._kernel_sums import KernelSums
from jaxalign.similarity._pair import Numbers, centred, in_dtype_of_jax, in_float64, require_rows

# Entries of all kernels that are in memory at once: 128 MB of float64.
_AT_ONCE = 1 << 24


def grid(
    xs: Mapping[str, ArrayLike] | Iterable[ArrayLike],
    ys: Mapping[str, ArrayLike] | Iterable[ArrayLike],
    measure: Callable[..., Array] = linear_cka,
) -> Float[Array, "a b"]:
    """``measure(x, y)`` of every x with every y.

    For ``linear_cka``, also as ``partial(linear_cka, estimator=...)``, each kernel is computed
    once, in blocks of rows, and one product compares all of them. Any other measure is called for
    each pair.

    Args:
      xs: the a representations (n, p_i) of one model, by name or in a list.
      ys: the b representations (n, q_j) of another one (or of the same), of the same rows.
      measure: a function of two arrays that gives a number.

    Returns:
      (a, b), in the order of the lists; NaN as the measure.

    Raises:
      ValueError: no representations; as the measure.
      TypeError: no list of arrays; a measure that is no function.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> layers = np.random.default_rng(0).standard_normal((3, 20, 4))
      >>> similarity.grid(layers, layers, similarity.linear_cka).shape
      (3, 3)

    Source: ours.
    """
    require_function(measure, "measure", "pass similarity.linear_cka")
    named = _named(xs, "xs"), _named(ys, "ys")
    estimator = _estimator_of(measure)
    if estimator is None:
        rows = [[measure(x, y) for y in named[1].values()] for x in named[0].values()]
        return jnp.stack([jnp.stack([jnp.asarray(value) for value in row]) for row in rows])
    arrays = {**named[0], **named[1]}
    numbers = [as_numbers(x, name) for name, x in arrays.items()]
    run = partial(_of_arrays, list(arrays), len(named[0]), estimator)
    return explained(in_dtype_of_jax(exactly(run, *numbers)), "grid", estimator)


def _named(xs: Mapping[str, ArrayLike] | Iterable[ArrayLike], name: str) -> dict[str, ArrayLike]:
    """The representations by the names that messages call them."""
    if isinstance(xs, Mapping):
        each = {f"{name}[{key!r}]": x for key, x in xs.items()}
    elif hasattr(xs, "__iter__") and not isinstance(xs, str):
        each = {f"{name}[{i}]": x for i, x in enumerate(xs)}
    else:
        raise TypeError(f"{name} must be a list of arrays (n, d), found {found(xs)}")
    if not each:
        raise ValueError(f"{name} must hold at least one representation (n, d), found none")
    return each


def _estimator_of(measure: Callable[..., Array]) -> str | None:
    """The estimator of ``linear_cka``, or of it with a chosen one; None for other measures."""
    if measure is linear_cka:
        return "biased"
    if isinstance(measure, partial) and measure.func is linear_cka and not measure.args:
        return measure.keywords.get("estimator", "biased")
    return None


def _of_arrays(names: list[str], split: int, estimator: str, *numbers: Numbers) -> Array:
    least = rows_for(estimator)
    features = [as_real_floats(x, name) for name, x in zip(names, numbers, strict=True)]
    for name, x in zip(names, features, strict=True):
        require_matrix(x, name, "d")
        require_finite(x, name)
        if len(x) != len(features[0]):
            raise ValueError(
                "representations must be of the same rows, in the same order, "
                f"found {len(features[0])} rows in {names[0]} and {len(x)} in {name}"
            )
    require_rows(len(features[0]), least)
    dtype = np.result_type(*(x.dtype for x in features))
    settings = (_Settings(split, estimator),)
    return in_float64(_cka_grid, settings, *(as_dtype(x, dtype) for x in features))


class _Settings(NamedTuple):
    """The first ``split`` representations are compared with the others."""

    split: int
    estimator: str


def _cka_grid(*arguments: Any) -> Float[Array, "a b"]:
    *features, settings = arguments
    about_mean = [centred(x) for x in features]
    squares = jnp.stack([jnp.sum(x**2, axis=1) for x in about_mean])
    inner = _inner_products(about_mean)
    traces = jnp.sum(squares, axis=1)
    diagonal = matmul(squares, squares.T)

    def of_pair(i: Array, j: Array) -> Array:
        pairs = (i, j), (i, i), (j, j)
        sums = KernelSums(
            n=jnp.asarray(squares.shape[1], squares.dtype),
            traces=jnp.stack([traces[i], traces[j]]),
            inner=jnp.stack([inner[pair] for pair in pairs]),
            diagonal=jnp.stack([diagonal[pair] for pair in pairs]),
        )
        return cka_of(sums, settings.estimator)

    left = jnp.arange(settings.split)
    right = jnp.arange(settings.split, len(features))
    return jax.vmap(jax.vmap(of_pair, (None, 0)), (0, None))(left, right)


def _inner_products(features: list[Array]) -> Float[Array, "m m"]:
    """⟨X_i X_iᵀ, X_j X_jᵀ⟩ of all pairs, in blocks of rows of all kernels."""
    n = len(features[0])
    blocks = -(-n * n * len(features) // _AT_ONCE)
    height = -(-n // blocks)

    def add(total: Array, rows: list[Array]) -> tuple[Array, None]:
        flat = jnp.stack(
            [matmul(part, x.T).ravel() for part, x in zip(rows, features, strict=True)]
        )
        return total + matmul(flat, flat.T), None

    # Rows of zeros add nothing.
    padding = ((0, blocks * height - n), (0, 0))
    rows = [jnp.pad(x, padding).reshape(blocks, height, -1) for x in features]
    start = jnp.zeros((len(features), len(features)), features[0].dtype)
    return jax.lax.scan(jax.checkpoint(add), start, rows)[0]
