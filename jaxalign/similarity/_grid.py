"""A measure of all pairs of two lists of representations: layers by layers, steps, models."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

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
from jaxalign._core.linalg import centred, matmul
from jaxalign._core.loops import scan
from jaxalign.similarity._cka import linear_cka
from jaxalign.similarity._estimators import Estimator, cka_of, explained, rows_for
from jaxalign.similarity._gram import gram
from jaxalign.similarity._kernel_sums import KernelSums
from jaxalign.similarity._null import Description, Null, cube, described, null_of
from jaxalign.similarity._once import once_for
from jaxalign.similarity._pair import Numbers, as_pair, in_dtype_of_jax, in_float64, require_rows

Layers = Mapping[str, ArrayLike] | Iterable[ArrayLike]
Value = TypeVar("Value")

# Entries of all kernels that are in memory at once: 128 MB of float64.
_AT_ONCE = 1 << 24


def grid(
    xs: Layers,
    ys: Layers,
    measure: Callable[..., Array] = linear_cka,
) -> Float[Array, "a b"]:
    """``measure(x, y)`` of every x with every y.

    For ``linear_cka``, also as ``partial(linear_cka, estimator=...)``, each kernel is computed
    once, in blocks of rows, and one product compares all of them. Of arrays on the host, also
    neighbours, Gaussian kernels, ranks of distances, canonical correlations and Procrustes
    distances take what one representation contributes from one computation. Any other measure is
    called for each pair.

    Args:
      xs: the a representations (n, p_i) of one model, by name or in a list.
      ys: the b representations (n, q_j) of another one (or of the same), of the same rows.
      measure: a function of two arrays that gives a number.

    Returns:
      (a, b), in the order of the lists; NaN as the measure.

    Raises:
      ValueError: no representations; as the measure.
      TypeError: no list of arrays; a measure that is not a function.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> layers = np.random.default_rng(0).standard_normal((3, 20, 4))
      >>> similarity.grid(layers, layers, similarity.linear_cka).shape
      (3, 3)

    Source: ours.
    """
    require_function(measure, "measure", "pass similarity.linear_cka")
    estimator = _estimator_of(measure)
    if estimator is not None:
        return explained(_of_kernels(_cka_grid, xs, ys, estimator), "grid", estimator)
    return jnp.stack(list(rows_of_grid(xs, ys, measure)))


def rows_of_grid(
    xs: Layers, ys: Layers, measure: Callable[..., Array]
) -> Iterator[Float[Array, " b"]]:
    """``measure(x, y)`` of one x after the other with every y, as ``grid`` gives them."""
    named = _named(xs, "xs"), _named(ys, "ys")
    first, second = (list(side.values()) for side in named)
    # Arguments that the measure refuses are refused by it.
    value = jnp.asarray(measure(first[0], second[0]))
    once = once_for(measure, [*first, *second]) if value.ndim == 0 else None
    if once is None:
        for x in first:
            yield jnp.stack([jnp.asarray(measure(x, y)) for y in second])
        return
    for x in first:
        as_pair(as_numbers(x, "x"), as_numbers(second[0], "y"))
    for y in second:
        as_pair(as_numbers(first[0], "x"), as_numbers(y, "y"))
    of_second = [once.prepare(np.asarray(y)) for y in second]
    for x in first:
        of_x = once.prepare(np.asarray(x))
        row = np.array([float(once.compare(of_x, of_y)) for of_y in of_second])
        # What the dtype does not hold is infinite, and said to be.
        with np.errstate(over="ignore"):
            row = row.astype(value.dtype)
        yield explained(jnp.asarray(row), "grid")


def grid_and_null(
    xs: Layers, ys: Layers, *, estimator: Estimator = "debiased"
) -> tuple[Float[Array, "a b"], Null]:
    """``linear_cka`` of every x with every y, and what chance would give each pair
    (``linear_cka_null``), from one computation of the kernels.

    Args:
      xs: as in ``grid``, of n ≥ 4 rows.
      ys: as in ``grid``.
      estimator: as in ``linear_cka``.

    Returns:
      (a, b) similarities, and their Null of arrays (a, b); NaN where one side is constant (with a
      SimilarityWarning in eager calls).

    Raises:
      ValueError: as ``grid``; fewer than 4 rows; an unknown estimator.
      TypeError: no lists of arrays.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> layers = np.random.default_rng(0).standard_normal((2, 20, 4))
      >>> values, null = similarity.grid_and_null(layers, layers)
      >>> (null.p_value < 0.05).tolist()
      [[True, False], [False, True]]

    Source: as ``linear_cka_null``.
    """
    values, description = _of_kernels(_cka_and_null_grid, xs, ys, estimator, least=4)
    return explained(values, "grid_and_null", estimator), null_of(description)


def _of_kernels(
    run: Callable[..., Value], xs: Layers, ys: Layers, estimator: str, least: int = 2
) -> Value:
    """``run`` of all representations in float64."""
    named = _named(xs, "xs"), _named(ys, "ys")
    arrays = {**named[0], **named[1]}
    numbers = [as_numbers(x, name) for name, x in arrays.items()]
    settings = _Settings(len(named[0]), estimator)
    least = max(least, rows_for(estimator))
    results = exactly(partial(_of_arrays, run, list(arrays), settings, least), *numbers)
    return jax.tree.map(in_dtype_of_jax, results)


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


class _Settings(NamedTuple):
    """The first ``split`` representations are compared with the others."""

    split: int
    estimator: str


def _of_arrays(
    run: Callable[..., Value], names: list[str], settings: _Settings, least: int, *numbers: Numbers
) -> Value:
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
    return in_float64(run, (settings,), *(as_dtype(x, dtype) for x in features))


def _cka_grid(*arguments: Any) -> Float[Array, "a b"]:
    *features, settings = arguments
    sums = _sums_of_pairs([centred(x) for x in features], settings.split)
    return _over_pairs(partial(cka_of, estimator=settings.estimator))(sums)


def _cka_and_null_grid(*arguments: Any) -> tuple[Float[Array, "a b"], Description]:
    *features, settings = arguments
    about_mean = [centred(x) for x in features]
    sums = _sums_of_pairs(about_mean, settings.split)
    cubes = jnp.stack([cube(_smaller_gram(x)) for x in about_mean])
    of_pairs = _pairs(cubes, settings.split)
    describe = partial(described, estimator=settings.estimator)
    values = _over_pairs(partial(cka_of, estimator=settings.estimator))(sums)
    return values, _over_pairs(describe)(sums, of_pairs)


def _over_pairs(of_pair: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one pair as one of arrays with leading axes (a, b)."""
    return jax.vmap(jax.vmap(of_pair))


def _pairs(each: Float[Array, " m"], split: int) -> Float[Array, "a b 2"]:
    """A number of each representation, for both of each pair."""
    left, right = jnp.meshgrid(each[:split], each[split:], indexing="ij")
    return jnp.stack([left, right], axis=-1)


def _sums_of_pairs(features: list[Array], split: int) -> KernelSums:
    """The sums over the kernels of all pairs of centred representations, with leading axes."""
    squares = jnp.stack([jnp.sum(x**2, axis=1) for x in features])
    inner = _inner_products(features)
    diagonal = matmul(squares, squares.T)

    def with_own(products: Float[Array, "m m"]) -> Float[Array, "a b 3"]:
        both = products[:split, split:, None]
        return jnp.concatenate([both, _pairs(jnp.diagonal(products), split)], axis=-1)

    shape = split, len(features) - split
    return KernelSums(
        n=jnp.full(shape, squares.shape[1], squares.dtype),
        traces=_pairs(jnp.sum(squares, axis=1), split),
        inner=with_own(inner),
        diagonal=with_own(diagonal),
    )


def _smaller_gram(x: Float[Array, "n d"]) -> Float[Array, "r r"]:
    return gram(x) if x.shape[1] <= len(x) else gram(x.T)


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
    return scan(jax.checkpoint(add), start, rows)[0]
