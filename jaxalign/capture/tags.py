"""Any JAX function: values are named where they are computed, by ``tag``, and fetched by ``reap``.

The name is that of ``jax.ad_checkpoint.checkpoint_name``, an identity that survives every transformation, so functions that
name values for their rematerialization are tagged already. ``reap`` reads the function's jaxpr and hands the named values
out of whatever they are inside of.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core
from jax.extend.core import primitives

from jaxalign.capture.layers import Filter, as_filters, in_order, matches, require_all_found

Wanted = Callable[[str], bool]


def tag(x: Array, name: str) -> Array:
    """``x`` itself, under a name that ``reap`` and ``tap`` find it by; without them it costs nothing.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> network = lambda w, x: ja.tag(jnp.maximum(x @ w, 0), "hidden").sum()
      >>> output, activations = ja.reap(network)(jnp.eye(2), jnp.ones((3, 2)))
      >>> float(output), activations["hidden"].shape
      (6.0, (3, 2))

    Source: ours, on jax.ad_checkpoint.checkpoint_name.
    """
    return checkpoint_name(x, name)


def reap(
    function: Callable[..., Any], names: Filter | Sequence[Filter] = "*"
) -> Callable[..., tuple[Any, OrderedDict[str, Array]]]:
    """``function`` that also returns what was tagged inside it: ``reap(f)(*args) -> (f(*args), {name: value})``.

    Args:
      function: any JAX function. Arrays among its arguments may be traced; all else stays as it is.
      names: glob pattern or patterns, or predicates of (name, None).

    Returns:
      A function, pure as ``function`` is, whose mapping is in the order in which values are computed; a name that is used
      again gives ``name#2``. Inside ``lax.scan`` a value gets a leading axis, one entry an iteration.

    Raises:
      ValueError: on the call: a pattern that fits no tag; a tag inside ``cond`` or ``while_loop``, which may be computed not
        at all or any number of times.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> layer = lambda x, w: (ja.tag(jnp.tanh(x @ w), "layer"), None)
      >>> network = lambda weights, x: jax.lax.scan(layer, x, weights)[0]
      >>> output, activations = ja.reap(network)(jnp.ones((4, 2, 2)), jnp.ones((3, 2)))
      >>> activations["layer"].shape
      (4, 3, 2)

    Source: ours; the idea of sowing and reaping is that of the Oryx library.
    """
    filters = as_filters(names)

    def reaped(*args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Array]]:
        leaves, tree = jax.tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array | np.ndarray)]

        def of_arrays(*arrays):
            held = dict(enumerate(leaves)) | dict(zip(places, arrays, strict=True))
            arguments, settings = jax.tree.unflatten(tree, [held[i] for i in range(len(leaves))])
            return function(*arguments, **settings)

        arrays = [leaves[i] for i in places]
        closed, shape = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
        there_are = list(_tags(closed.jaxpr, lambda name: True))
        require_all_found(filters, dict.fromkeys(there_are), "were asked for and are not among the tags")
        wanted = lambda name: matches(name, None, filters)
        outputs, found = _evaluate(closed.jaxpr, closed.consts, arrays, wanted)
        names = list(_tags(closed.jaxpr, wanted))
        values = {name: [x for other, x in zip(names, found, strict=True) if other == name] for name in names}
        return jax.tree.unflatten(jax.tree.structure(shape), outputs), in_order(names, values)

    return reaped


def _tags(jaxpr: core.Jaxpr, wanted: Wanted) -> Iterator[str]:
    """The wanted names in the order in which ``_evaluate`` finds their values."""
    for equation in jaxpr.eqns:
        if equation.primitive is primitives.name_p and wanted(equation.params["name"]):
            yield equation.params["name"]
        for inner in core.jaxprs_in_params(equation.params):
            yield from _tags(inner, wanted)


def _evaluate(jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Any], wanted: Wanted) -> tuple[list, list]:
    """The outputs of a jaxpr, and the values of its wanted tags."""
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))
    read = lambda x: x.val if isinstance(x, core.Literal) else values[x]
    found: list[Any] = []
    for equation in jaxpr.eqns:
        inputs = [read(x) for x in equation.invars]
        with equation.ctx.manager:
            if next((name for j in core.jaxprs_in_params(equation.params) for name in _tags(j, wanted)), None) is None:
                outputs = _bind(equation, inputs)
                if equation.primitive is primitives.name_p and wanted(equation.params["name"]):
                    found += outputs
            else:
                outputs, inner = _evaluate_inside(equation, inputs, wanted)
                found += inner
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(x) for x in jaxpr.outvars], found


def _bind(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list:
    outputs = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def _evaluate_inside(equation: core.JaxprEqn, inputs: Sequence[Any], wanted: Wanted) -> tuple[list, list]:
    """As ``_evaluate``, of an equation that holds tags within."""
    primitive, params = equation.primitive, equation.params
    body = params.get("jaxpr", params.get("call_jaxpr"))
    if body is not None:
        inside = partial(_evaluate, getattr(body, "jaxpr", body), getattr(body, "consts", ()), wanted=wanted)
    if primitive in (primitives.jit_p, primitives.closed_call_p, primitives.call_p):
        return inside(inputs)
    if primitive is primitives.remat_p:
        return jax.checkpoint(lambda *x: inside(x), prevent_cse=params["prevent_cse"], policy=params["policy"])(*inputs)
    if primitive in (primitives.custom_jvp_call_p, primitives.custom_vjp_call_p):
        # The outputs keep their own derivative; the compiler merges what is computed twice.
        return _bind(equation, inputs), inside(inputs)[1]
    if primitive is primitives.scan_p:
        return _evaluate_scan(params, inputs, inside)
    name = next(name for j in core.jaxprs_in_params(params) for name in _tags(j, wanted))
    raise ValueError(f"tag {name!r} is inside {primitive.name}, out of which no value can be handed; tag its result instead")


def _evaluate_scan(params: dict[str, Any], inputs: Sequence[Any], inside: Callable) -> tuple[list, list]:
    if "num_consts" in params:
        consts, carried = params["num_consts"], params["num_carry"]
    else:  # jax 0.12
        consts, carried = (len(part.vals) for part in params["ft_in"].unpack()[:2])
    own, start, rows = inputs[:consts], inputs[consts : consts + carried], inputs[consts + carried :]

    def step(carry, row):
        outputs, found = inside([*own, *carry, *row])
        return outputs[:carried], (outputs[carried:], found)

    settings = {name: params[name] for name in ("length", "reverse", "unroll")}
    last, (stacked, found) = jax.lax.scan(step, list(start), list(rows), **settings)
    return [*last, *stacked], found
