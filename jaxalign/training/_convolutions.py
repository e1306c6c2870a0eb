"""Convolutions that a CPU is fast at, in a loop and under ``vmap`` too.

XLA's CPU backend has one fast kernel: images as (n, ..., c), kernels as (..., in, out), one group.
At the outermost level of a program it brings convolutions into this order, but not in a loop: there
the gradient of a kernel takes a naive one, 15 to 40 times as long. And ``vmap`` over models makes
groups of them; there, a loop over models is 6 times as fast.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core
from jax.extend.core import primitives

from jaxalign._core.jaxprs import bind, enter, equations, evaluate, traced
from jaxalign._core.loops import looped

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

CONVOLUTION = primitives.conv_general_dilated_p


def fast_convolutions(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``function`` with its convolutions in the order of the CPU's kernel, for use in a loop;
    elsewhere the same program.

    Args:
      function: of pytrees of arrays, differentiated already: a ``value_and_grad``, or a whole step.
        A convolution inside a ``cond``, ``while_loop`` or ``shard_map`` of it is left as it is.

    Returns:
      A function of the same values, for every dtype and under every transformation but
      differentiation.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jaxalign.training import fast_convolutions
      >>> numbers = ("NHWC", "HWIO", "NHWC")
      >>> def loss(kernel, x):
      ...     settings = {"padding": "SAME", "dimension_numbers": numbers}
      ...     return jax.lax.conv_general_dilated(x, kernel, (1, 1), **settings).sum()
      >>> gradient = fast_convolutions(jax.grad(loss))
      >>> step = lambda kernel, x: (kernel - gradient(kernel, x) / 16, None)
      >>> jax.lax.scan(step, jnp.ones((1, 1, 2, 1)), jnp.ones((3, 1, 4, 4, 2)))[0].ravel().tolist()
      [-2.0, -2.0]

    Source: ours.
    """

    def evaluated(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        closed, arrays, tree = traced(function, args, kwargs)
        outputs, _ = _evaluate(closed.jaxpr, closed.consts, arrays)
        # What the function returns of its own, as a literal 0.1, is an array here as elsewhere.
        return jax.tree.unflatten(tree, [jnp.asarray(output) for output in outputs])

    return evaluated


def _evaluate(
    jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]
) -> tuple[list, tuple]:
    return evaluate(jaxpr, consts, arguments, _rule), ()


def _rule(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list:
    if equation.primitive is CONVOLUTION:
        return [_convolution(equation, *inputs)]
    convolves = any(
        e.primitive is CONVOLUTION
        for inner in core.jaxprs_in_params(equation.params)
        for e in equations(inner)
    )
    entered = enter(equation, inputs, _evaluate) if convolves else None
    return bind(equation, inputs) if entered is None else entered[0]


def _convolution(equation: core.JaxprEqn, images: Array, kernel: Array) -> Array:
    def as_it_is(images, kernel):
        return bind(equation, (images, kernel))[0]

    if equation.params["feature_group_count"] > 1 or equation.params["batch_group_count"] > 1:
        return as_it_is(images, kernel)
    in_order = looped(partial(_in_order, equation.params))
    return lax.platform_dependent(images, kernel, cpu=in_order, default=as_it_is)


def _in_order(params: dict[str, Any], images: Array, kernel: Array) -> Array:
    """The convolution with transposes around it, which XLA leaves out where nothing moves."""
    (n, c, *space), (out, into, *window), result = params["dimension_numbers"]
    last = images.ndim - 1
    rows = (0, last, *range(1, last))  # where n, c and the rest are, in the order of the kernel
    numbers = lax.ConvDimensionNumbers(rows, (last, last - 1, *range(last - 1)), rows)
    images = lax.transpose(images, (n, *space, c))
    kernel = lax.transpose(kernel, (*window, into, out))
    convolved = CONVOLUTION.bind(images, kernel, **params | {"dimension_numbers": numbers})
    places = (result[0], *result[2:], result[1])
    return lax.transpose(convolved, tuple(places.index(axis) for axis in range(images.ndim)))
