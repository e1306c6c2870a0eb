"""Evaluating a jaxpr anew, with some of its equations done otherwise, also those inside jit, remat
and scan.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.extend import core
from jax.extend.core import primitives

Rule: TypeAlias = Callable[[core.JaxprEqn, Sequence[Any]], Sequence[Any]]
"""The outputs of an equation from its inputs."""

Inside: TypeAlias = Callable[[core.Jaxpr, Sequence[Any], Sequence[Any]], tuple[list, Any]]
"""The outputs of an inner jaxpr from its constants and arguments, and a pytree of what else is
handed out.
"""


def traced(
    function: Callable, arguments: Sequence[Any], settings: dict[str, Any]
) -> tuple[core.ClosedJaxpr, list, Any]:
    """The jaxpr of a call, the arrays it takes, and the tree of what it returns; what is no array
    stays what it is.
    """
    leaves, tree = jax.tree.flatten((arguments, settings))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array | np.ndarray)]

    def of_arrays(*arrays):
        held = dict(enumerate(leaves)) | dict(zip(places, arrays, strict=True))
        positional, named = jax.tree.unflatten(tree, [held[i] for i in range(len(leaves))])
        return function(*positional, **named)

    arrays = [leaves[i] for i in places]
    closed, shape = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
    return closed, arrays, jax.tree.structure(shape)


def evaluate(
    jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Any], rule: Rule
) -> list:
    """The outputs of a jaxpr, each equation of which is done by the rule."""
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))

    def read(x):
        return x.val if isinstance(x, core.Literal) else values[x]

    for equation in jaxpr.eqns:
        with equation.ctx.manager:
            outputs = rule(equation, [read(x) for x in equation.invars])
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(x) for x in jaxpr.outvars]


def equations(jaxpr: core.Jaxpr) -> Iterator[core.JaxprEqn]:
    """Those of a jaxpr and of all jaxprs inside it, outer ones first."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def bind(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list:
    """The rule that changes nothing."""
    outputs = equation.primitive.bind(
        *inputs, **equation.primitive.get_bind_params(equation.params)
    )
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def enter(
    equation: core.JaxprEqn, inputs: Sequence[Any], inside: Inside
) -> tuple[list, Any] | None:
    """An equation whose body is evaluated by ``inside``, what a scan hands out stacked; None where
    no value gets out of it.
    """
    primitive, params = equation.primitive, equation.params
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
    if "num_consts" in params:
        consts, carried = params["num_consts"], params["num_carry"]
    else:  # jax 0.12
        consts, carried = (len(part.vals) for part in params["ft_in"].unpack()[:2])
    own, start, rows = (
        inputs[:consts],
        inputs[consts : consts + carried],
        inputs[consts + carried :],
    )

    def step(carry, row):
        outputs, handed_out = of_body([*own, *carry, *row])
        return outputs[:carried], (outputs[carried:], handed_out)

    settings = {name: params[name] for name in ("length", "reverse", "unroll")}
    last, (stacked, handed_out) = jax.lax.scan(step, list(start), list(rows), **settings)
    return [*last, *stacked], handed_out
