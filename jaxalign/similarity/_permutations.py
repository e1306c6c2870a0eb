"""What chance gives any measure of two representations: its values for permuted rows of y."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats
from jaxalign._core.float64 import exactly
from jaxalign._core.kinds import as_count, require_function, require_key
from jaxalign.alignment import Permuted
from jaxalign.similarity._pair import in_dtype_of_jax, require_same_rows


def permutation_null(
    x: ArrayLike, y: ArrayLike, measure: Callable[..., Array], *, key: Array, draws: int = 99
) -> Permuted:
    """``measure(x, y)``, and ``measure(x, y[p])`` of ``draws`` random permutations p of the rows.

    The permutations are one compiled loop, so the measure has to be traceable, as all of
    ``similarity`` are. A function of a module, or a ``partial`` that is kept, is compiled once.
    ``linear_cka_null`` gives the exact moments of linear CKA without any draw.

    Args:
      x: (n, p) of one representation, n ≥ 2; or what else the measure takes, by rows.
      y: (n, q) of the other one, of the same rows.
      measure: a function of two arrays that gives a number, or an array.
      key: of ``jax.random.key``; the same key, the same permutations.
      draws: how many; the smallest p-value is 1/(1 + draws).

    Returns:
      Permuted: observed (...) and null (draws, ...), in the dtype of the measure, with ``p_values``
      for similarities and ``lower_p_values`` for distances.

    Raises:
      ValueError: x or y without rows, of one row or of different n; no draws; as the measure.
      TypeError: x or y no arrays; a measure that is not a function; a key or draws of another kind.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
      >>> rsa = similarity.permutation_null(x, x**3, similarity.rsa, key=jax.random.key(0))
      >>> bool(rsa.p_values < 0.02), rsa.null.shape
      (True, (99,))

    Source: Fisher's permutation test; p-values as in Phipson and Smyth (2010).
    """
    require_function(measure, "measure", "pass similarity.rsa, or a function of two arrays")
    require_key(key)
    draws = as_count(draws, "draws")
    pair = as_numbers(x, "x"), as_numbers(y, "y")
    for name, part in zip(("x", "y"), pair, strict=True):
        if part.ndim == 0:
            raise ValueError(f"{name} must have rows, found one number")
    require_same_rows(*pair, least=2)
    # Called as it is first: what it refuses, or warns of, is said before anything is drawn.
    observed = as_real_floats(measure(*pair), "values of the measure")
    keys = jax.random.split(key, draws)
    try:
        null = in_dtype_of_jax(exactly(partial(_permuted, measure), *pair, keys))
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        raise TypeError(
            "measure must be a function that jax can trace, found one that reads its values; "
            "write it in jax.numpy, or permute the rows of y in a loop of your own"
        ) from error
    return Permuted(observed, null.astype(observed.dtype))


@partial(jax.jit, static_argnums=0)
def _permuted(
    measure: Callable[..., Array], x: Array, y: Array, keys: Key[Array, " draws"]
) -> Float[Array, "draws ..."]:
    def of_key(key: Array) -> Array:
        return jnp.asarray(measure(x, y[jax.random.permutation(key, len(y))]))

    return jax.lax.map(of_key, keys)
