"""The alignment of targets with the tangent kernel, by quadrature."""

from functools import partial
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_dtype, as_real_floats
from jaxalign._core.kinds import as_count
from jaxalign._spectrum.quadrature import Quadrature, quadrature
from jaxalign.tangent._products import (
    Outputs,
    require_outputs,
    require_parameters,
    tangent_products,
)
from jaxalign.tangent._program import Program, as_inputs


def tangent_spectrum(
    function: Outputs, parameters: Any, inputs: Any, targets: ArrayLike, *, order: int = 16
) -> Quadrature:
    """The label spectrum of the Jacobian J = ∂ outputs/∂ parameters in place of Φ, by quadrature:
    curve and area of the neural tangent kernel Θ = JJᵀ, from ``order`` products with J and Jᵀ.

    σ_i² are eigenvalues of Θ and u_i its eigenvectors. ``quadrature_bounds`` bounds the curve on
    both sides, for the J that the model's dtype computes. For a linear head the Jacobian is Φ.

    By chance, for a target in a random direction, A(τ) is ‖y‖²·#{σ_i ≥ τ}/m on average, m the
    number of rows of J.

    Args:
      function: (parameters, inputs) ↦ outputs (n,) or (n, c). Where what it closes over has
        changed, it is compiled again; what changes often belongs in the inputs.
      parameters: a pytree of arrays of floats.
      inputs: of the function.
      targets: (n,) or (n, k) for one output a sample; with c outputs (n, c), one target.
      order: m, as in ``quadrature``.

    Returns:
      Quadrature of k targets.

    Raises:
      ValueError, TypeError: as ``tangent_products`` and ``quadrature``; targets that do not fit the
        outputs.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> x = jnp.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
      >>> head = lambda w, x: x @ w
      >>> q = ja.tangent.tangent_spectrum(head, jnp.zeros(2), x, [2.0, 1.0, 0.0], order=2)
      >>> q.spectrum.singular_values.round().tolist()
      [3.0, 1.0, 0.0]

    Source: ours, as ``quadrature``.
    """
    require_outputs(function)
    order = as_count(order, "order")
    y = as_real_floats(targets, "targets")
    require_parameters(parameters)

    def run(parameters: Any, inputs: Any, y: Array) -> Quadrature:
        return _compiled(Program(function, parameters, inputs), order, parameters, inputs, y)

    return on_automatic_axes(run, parameters, as_inputs(inputs), y)


def checked_targets(outputs: Any, targets: Float[Array, "..."]) -> Float[Array, "m k"]:
    """(n·c, k): one target of all outputs, or k targets of one output a sample.

    Raises:
      ValueError: targets that do not fit the outputs.
    """
    shape = outputs.shape
    several = len(shape) == 2 and shape[1] > 1
    fits = targets.shape == shape if several else targets.shape[:1] == shape[:1]
    if not fits or targets.ndim not in (1, 2):
        expected = f"{shape}, as the outputs" if several else f"({shape[0]},) or ({shape[0]}, k)"
        raise ValueError(f"targets must be {expected}, found {targets.shape}")
    columns = targets.reshape(-1, 1) if several or targets.ndim == 1 else targets
    return as_dtype(columns, outputs.dtype)


@partial(jax.jit, static_argnums=(0, 1))
def _compiled(
    function: Outputs, order: int, parameters: Any, inputs: Any, targets: Array
) -> Quadrature:
    products = tangent_products(function, parameters, inputs)
    columns = checked_targets(jax.eval_shape(function, parameters, inputs), targets)
    return quadrature((products.product, products.transposed), columns, order=order)
