"""Evaluate a jaxpr with another rule for some equations, also inside jit, remat and scan."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.extend import core
from jax.extend.core import primitives

Rule: TypeAlias = Callable[[core.JaxprEqn, Sequence[Any]], Sequence[Any]]
"""(equation, its inputs) → its outputs."""

Inside: TypeAlias = Callable[[core.Jaxpr, Sequence[Any], Sequence[Any]], tuple[list, Any]]
"""(inner jaxpr, its constants, its arguments) → (its outputs, a pytree of further values)."""


def traced(
    function: Callable, arguments: Sequence[Any], settings: dict[str, Any]
) -> tuple[core.ClosedJaxpr, list, Any]:
    """The jaxpr of a call, its arguments that are arrays, and the tree of its result.

    Other arguments are constants of the jaxpr.
    """
    leaves, tree = jax.tree.flatten((arguments, settings))
    positions = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array | np.ndarray)]

    def of_arrays(*arrays):
        filled = list(leaves)
        for i, array in zip(positions, arrays, strict=True):
            filled[i] = array
        positional, named = jax.tree.unflatten(tree, filled)
        return function(*positional, **named)

    arrays = [leaves[i] for i in positions]
    closed, shape = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
    return closed, arrays, jax.tree.structure(shape)


def evaluate(
    jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Any], rule: Rule
) -> list:
    """The outputs of a jaxpr, with every equation evaluated by ``rule``."""
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))

    def read(x):
        return x.val if isinstance(x, core.Literal) else values[x]

    for equation in jaxpr.eqns:
        # The context in which the equation was traced, such as its matmul precision.
        with equation.ctx.manager:
            outputs = rule(equation, [read(x) for x in equation.invars])
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(x) for x in jaxpr.outvars]


def equations(jaxpr: core.Jaxpr) -> Iterator[core.JaxprEqn]:
    """The equations of a jaxpr and of all jaxprs inside it, outer ones first."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def bind(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list:
    """The rule that changes nothing."""
    outputs = equation.primitive.bind(
        *inputs, **equation.primitive.get_bind_params(equation.params)
    )
    if equation.primitive.multiple_results:
        return list(outputs)
    return [outputs]


def enter(
    equation: core.JaxprEqn, inputs: Sequence[Any], inside: Inside
) -> tuple[list, Any] | None:
    """An equation with its body evaluated by ``inside``: (outputs, further values).

    From a scan, further values come stacked. None for equations that cannot return further values,
    such as those of ``cond`` and ``while_loop``.
    """
    primitive = equation.primitive
    params = equation.params
    body = params.get("jaxpr", params.get("call_jaxpr"))
    if body is None:
        return None
    of_body = partial(inside, getattr(body, "jaxpr", body), getattr(body, "consts", ()))
    if primitive in (primitives.jit_p, primitives.closed_call_p, primitives.call_p):
        return of_body(inputs)
    if primitive is primitives.remat_p:
        return jax.checkpoint(
            lambda *x: of_body(x), prevent_cse=params["prevent_cse"], policy=params["policy"]
        )(*inputs)
    if primitive is primitives.scan_p:
        return _scan(params, inputs, of_body)
    return None


def _scan(params: dict[str, Any], inputs: Sequence[Any], of_body: Callable) -> tuple[list, Any]:
    """The inputs of a scan are its constants, the initial carry, and the rows to scan over."""
    if "num_consts" in params:
        num_consts = params["num_consts"]
        num_carry = params["num_carry"]
    else:
        # Since jax 0.12.
        num_consts, num_carry = (len(part.vals) for part in params["ft_in"].unpack()[:2])
    consts = inputs[:num_consts]
    start = list(inputs[num_consts : num_consts + num_carry])
    rows = list(inputs[num_consts + num_carry :])

    def step(carry, row):
        outputs, further = of_body([*consts, *carry, *row])
        return outputs[:num_carry], (outputs[num_carry:], further)

    settings = {name: params[name] for name in ("length", "reverse", "unroll")}
    last, (stacked, further) = jax.lax.scan(step, start, rows, **settings)
    return [*last, *stacked], further
