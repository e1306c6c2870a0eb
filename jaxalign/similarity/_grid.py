"""A measure of all pairs of two lists of representations: layers by layers, steps, models."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, require_finite, require_matrix
from jaxalign._core.float64 import exactly, float64_inside
from jaxalign._core.kinds import found, require_function
from jaxalign._core.linalg import matmul
from jaxalign._core.mesh import with_automatic_axes
from jaxalign.similarity._cka import linear_cka
from jaxalign.similarity._estimators import cka_of, explained, rows_for
from jaxalign.similarity._kernel_sums import KernelSums
from jaxalign.similarity._pair import Numbers, centred, require_rows, result_dtype

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
    numbers = [as_numbers(with_automatic_axes(x), name) for name, x in arrays.items()]
    dtype = result_dtype(*numbers)
    run = partial(_cka_grid, list(arrays), len(named[0]), estimator, dtype)
    return explained(exactly(run, *numbers), "grid", estimator)


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


def _cka_grid(
    names: list[str], split: int, estimator: str, dtype: np.dtype, *numbers: Numbers
) -> Array:
    features = [as_real_floats(x, name) for name, x in zip(names, numbers, strict=True)]
    for name, x in zip(names, features, strict=True):
        require_matrix(x, name, "d")
        require_finite(x, name)
    n = len(features[0])
    for name, x in zip(names, features, strict=True):
        if len(x) != n:
            raise ValueError(
                "representations must be of the same rows, in the same order, "
                f"found {n} rows in {names[0]} and {len(x)} in {name}"
            )
    require_rows(n, rows_for(estimator))
    about_mean = [_centred(x) for x in features]
    size = min(n, max(1, _AT_ONCE // (n * len(features))))
    total = None
    for start in range(0, n, size):
        rows = [_kernel_rows(x, start, min(size, n - start)) for x in about_mean]
        total = _added(total, rows)
    diagonals = [_squares(x) for x in about_mean]
    return _finished(total, diagonals, split, estimator, dtype)


@jax.jit
def _centred(x: Array) -> Array:
    return float64_inside(lambda x: centred(x.astype(jnp.float64)))(x)


@partial(jax.jit, static_argnums=2)
def _kernel_rows(x: Array, start: int, size: int) -> Array:
    """Rows of XXᵀ, flattened."""

    def run(x: Array, start: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(x, start, size)
        return matmul(rows, x.T).ravel()

    return float64_inside(run)(x, start)


@jax.jit
def _added(total: Array | None, rows: list[Array]) -> Array:
    """⟨K_i, K_j⟩ of all pairs, so far."""

    def run(total: Array | None, rows: list[Array]) -> Array:
        flat = jnp.stack(rows)
        products = matmul(flat, flat.T)
        return products if total is None else total + products

    return float64_inside(run)(total, rows)


@jax.jit
def _squares(x: Array) -> Array:
    return float64_inside(lambda x: jnp.sum(x**2, axis=1))(x)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _finished(
    inner: Array, diagonals: list[Array], split: int, estimator: str, dtype: np.dtype
) -> Array:
    def run(inner: Array, diagonals: list[Array]) -> Array:
        squares = jnp.stack(diagonals)
        n = jnp.asarray(squares.shape[1], squares.dtype)
        traces = jnp.sum(squares, axis=1)
        diagonal = matmul(squares, squares.T)

        def of_pair(i: Array, j: Array) -> Array:
            pairs = (i, j), (i, i), (j, j)
            sums = KernelSums(
                n=n,
                traces=jnp.stack([traces[i], traces[j]]),
                inner=jnp.stack([inner[pair] for pair in pairs]),
                diagonal=jnp.stack([diagonal[pair] for pair in pairs]),
            )
            return cka_of(sums, estimator)

        left, right = jnp.arange(split), jnp.arange(split, len(traces))
        each = jax.vmap(jax.vmap(of_pair, (None, 0)), (0, None))(left, right)
        return each.astype(dtype)

    return float64_inside(run)(inner, diagonals)
