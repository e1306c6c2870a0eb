"""Products with the Jacobian of a model by its parameters, and with its transpose."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from jaxalign._core.kinds import require_function
from jaxalign._core.varying import varying_axes, varying_over

Outputs = Callable[[Any, Any], Array]
"""(parameters, inputs) ↦ outputs (n,) or (n, c)."""


class TangentProducts(NamedTuple):
    """J (n·c, p) by its products. A pair, as ``quadrature`` takes it.

    Attributes:
      product: v (p, k) ↦ Jv (n·c, k).
      transposed: u (n·c, k) ↦ Jᵀu (p, k).
    """

    product: Callable[[Array], Array]
    transposed: Callable[[Array], Array]


def tangent_products(function: Outputs, parameters: Any, inputs: Any) -> TangentProducts:
    """V ↦ Jv and u ↦ Jᵀu with the Jacobian J = ∂ outputs/∂ parameters, which is never stored.

    One product is one forward-mode, the other one reverse-mode derivative for each of k vectors, at
    once. The neural tangent kernel is Θ = JJᵀ, Θu = product(transposed(u)). Rows are the outputs in
    their order: sample by sample, and within a sample output by output. Columns are the parameters
    in the order of ``jax.tree.leaves``, flattened.

    Args:
      function: (parameters, inputs) ↦ outputs (n,) or (n, c), for which
        ``lambda state, x: nnx.merge(graph, state)(x)`` makes an nnx model.
      parameters: a pytree of real arrays of floats; what is not a parameter belongs in the
        function.
      inputs: of the function, a pytree of arrays.

    Returns:
      TangentProducts, for ``jit`` and ``quadrature``.

    Raises:
      ValueError: no parameters; outputs of another shape.
      TypeError: a function that is none, or whose outputs are not floats; parameters that are not
        arrays of floats.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
      >>> head = lambda w, x: x @ w
      >>> product, transposed = ja.tangent.tangent_products(head, jnp.zeros(2), x)  # J = x
      >>> product(jnp.array([[1.0], [0.0]])).ravel().tolist()
      [1.0, 3.0, 5.0]
      >>> transposed(jnp.ones((3, 1))).ravel().tolist()
      [9.0, 12.0]

    Source: Jacot, Gabriel, Hongler (NeurIPS 2018); products as in Novak et al. (ICML 2022).
    """
    flat_function, flat = flattened(function, parameters, inputs)

    def product(v: Float[Array, "p k"]) -> Float[Array, "m k"]:
        def along(direction: Array) -> Array:
            tangent = varying_over(direction.astype(flat.dtype), varying_axes(flat))
            return jax.jvp(flat_function, (flat,), (tangent,))[1]

        return jax.vmap(along, 1, 1)(v)

    def transposed(u: Float[Array, "m k"]) -> Float[Array, "p k"]:
        outputs, back = jax.vjp(flat_function, flat)

        def along(direction: Array) -> Array:
            return back(varying_over(direction.astype(outputs.dtype), varying_axes(outputs)))[0]

        return jax.vmap(along, 1, 1)(u)

    return TangentProducts(product, transposed)


def require_outputs(function: Any) -> None:
    """Raise unless it is a function."""
    require_function(function, "function", "pass lambda parameters, inputs: outputs")


def require_parameters(parameters: Any) -> None:
    """Raise unless these are arrays of floats, one at least."""
    if not jax.tree.leaves(parameters):
        raise ValueError("parameters must be a pytree of arrays of floats, found none in it")
    for path, leaf in jax.tree.leaves_with_path(parameters):
        is_array = isinstance(leaf, jax.Array | np.ndarray | np.generic)
        if is_array and jnp.issubdtype(leaf.dtype, jnp.floating):
            continue
        found = f"a {type(leaf).__name__}" if not is_array else leaf.dtype
        where = jax.tree_util.keystr(path) or "the top"
        raise TypeError(
            f"parameters must be arrays of floats, found {found} at {where}; keep what is not a "
            "parameter in the function, as nnx.split(model, nnx.Param, ...) parts them"
        )


def flattened(
    function: Outputs, parameters: Any, inputs: Any
) -> tuple[Callable[[Array], Array], Float[Array, " p"]]:
    """The outputs (n·c,) as a function of all parameters (p,), and these.

    Raises:
      ValueError, TypeError: as ``tangent_products``.
    """
    require_outputs(function)
    require_parameters(parameters)
    outputs = jax.eval_shape(function, parameters, inputs)
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) not in (1, 2) or 0 in shape:
        found = type(outputs).__name__ if shape is None else f"shape {shape}"
        raise ValueError(f"function must return outputs (n,) or (n, c), found {found}")
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise TypeError(f"function must return outputs of floats, found {outputs.dtype}")
    flat, unflatten = ravel_pytree(parameters)
    # Inside shard_map, what all devices share would have the sum over them as its derivative.
    flat = varying_over(flat, varying_axes(outputs))

    def of_flat(flat: Float[Array, " p"]) -> Float[Array, " m"]:
        return jnp.ravel(function(unflatten(flat), inputs))

    return of_flat, flat
