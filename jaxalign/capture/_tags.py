"""Any JAX function: values are named where they are computed, by ``tag``, and fetched by ``reap``.

The name is that of ``jax.ad_checkpoint.checkpoint_name``, an identity that survives every
transformation, so functions that name values for their rematerialization are tagged already.
``reap`` reads the function's jaxpr and hands the named values out of whatever they are inside of.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core
from jax.extend.core import primitives

from jaxalign._core.jaxprs import bind, enter, equations, evaluate, traced
from jaxalign.capture._filters import Filter, as_filters, in_order, matches, require_all_found

Wanted = Callable[[str], bool]


def tag(x: Array, name: str) -> Array:
    """``x`` itself, under a name that ``reap`` and ``tap`` find it by; without them it costs
    nothing.

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
    """``function`` that also returns what was tagged inside it: ``reap(f)(*args) -> (f(*args),
    {name: value})``.

    Args:
      function: any JAX function. Arrays among its arguments may be traced; all else stays as it is.
      names: glob pattern or patterns, or predicates of (name, None).

    Returns:
      A function, pure as ``function`` is, whose mapping is in the order in which values are
      computed; a name that is used again gives ``name#2``. Inside ``lax.scan`` a value gets a
      leading axis, one entry an iteration.

    Raises:
      ValueError: on the call: a pattern that fits no tag; a tag inside ``cond`` or ``while_loop``,
        which may be computed not at all or any number of times.

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
        closed, arrays, tree = traced(function, args, kwargs)
        there_are = list(_tags(closed.jaxpr, lambda name: True))
        require_all_found(
            filters, dict.fromkeys(there_are), "were asked for and are not among the tags"
        )

        def wanted(name):
            return matches(name, None, filters)

        outputs, found = _evaluate(closed.jaxpr, closed.consts, arrays, wanted)
        names = list(_tags(closed.jaxpr, wanted))
        values = {
            name: [x for other, x in zip(names, found, strict=True) if other == name]
            for name in names
        }
        return jax.tree.unflatten(tree, outputs), in_order(names, values)

    return reaped


def _tags(jaxpr: core.Jaxpr, wanted: Wanted) -> Iterator[str]:
    """The wanted names in the order in which ``_evaluate`` finds their values."""
    for equation in equations(jaxpr):
        if equation.primitive is primitives.name_p and wanted(equation.params["name"]):
            yield equation.params["name"]


def _evaluate(
    jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Any], wanted: Wanted
) -> tuple[list, list]:
    """The outputs of a jaxpr, and the values of its wanted tags."""
    found: list[Any] = []

    def rule(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list:
        if (
            next(
                (name for j in core.jaxprs_in_params(equation.params) for name in _tags(j, wanted)),
                None,
            )
            is None
        ):
            outputs = bind(equation, inputs)
            inner = (
                outputs
                if equation.primitive is primitives.name_p and wanted(equation.params["name"])
                else []
            )
        else:
            outputs, inner = _evaluate_inside(equation, inputs, wanted)
        found.extend(inner)
        return outputs

    return evaluate(jaxpr, consts, arguments, rule), found


def _evaluate_inside(
    equation: core.JaxprEqn, inputs: Sequence[Any], wanted: Wanted
) -> tuple[list, list]:
    """As ``_evaluate``, of an equation that holds tags within."""
    inside = partial(_evaluate, wanted=wanted)
    if equation.primitive in (primitives.custom_jvp_call_p, primitives.custom_vjp_call_p):
        # The outputs keep their own derivative; the compiler merges what is computed twice.
        body = equation.params["call_jaxpr"]
        return bind(equation, inputs), inside(body.jaxpr, body.consts, inputs)[1]
    entered = enter(equation, inputs, inside)
    if entered is None:
        name = next(
            name for j in core.jaxprs_in_params(equation.params) for name in _tags(j, wanted)
        )
        inside_of = equation.primitive.name
        raise ValueError(
            f"tag {name!r} is inside {inside_of}, out of which no value can be handed; tag its result instead"
        )
    return entered
