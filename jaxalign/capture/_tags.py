"""Capture in any JAX function: ``tag`` names a value where it is computed, ``reap`` returns it.

A tag is a ``jax.ad_checkpoint.checkpoint_name``, an identity that every transformation keeps. So
functions that name values for rematerialization are already tagged. ``reap`` evaluates the
function's jaxpr and returns the named values, also from inside jit, remat and scan.
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
"""Whether the values of a name are to be returned."""


def tag(x: Array, name: str) -> Array:
    """``x`` itself, with a name for ``reap`` and ``tap``; without them it costs nothing.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> def network(w, x):
      ...     return ja.tag(jnp.maximum(x @ w, 0), "hidden").sum()
      >>> output, activations = ja.reap(network)(jnp.eye(2), jnp.ones((3, 2)))
      >>> float(output), activations["hidden"].shape
      (6.0, (3, 2))

    Source: jax.ad_checkpoint.checkpoint_name.
    """
    return checkpoint_name(x, name)


def reap(
    function: Callable[..., Any], names: Filter | Sequence[Filter] = "*"
) -> Callable[..., tuple[Any, OrderedDict[str, Array]]]:
    """Also return tagged values: ``reap(f)(*args) -> (f(*args), {name: value})``.

    Args:
      function: any JAX function. Arrays among its arguments are traced; other arguments are static.
      names: glob pattern or patterns, or predicates of (name, None).

    Returns:
      A function, as pure as ``function``, whose mapping is in the order in which values are
      computed. The second value of a name is called ``name#2``. A value inside ``lax.scan`` gets a
      leading axis, one entry per iteration.

    Raises:
      ValueError: when called: a pattern that fits no tag; a tag inside ``cond`` or ``while_loop``,
        where a value may be computed any number of times.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> def layer(x, w):
      ...     return ja.tag(jnp.tanh(x @ w), "layer"), None
      >>> def network(weights, x):
      ...     return jax.lax.scan(layer, x, weights)[0]
      >>> output, activations = ja.reap(network)(jnp.ones((4, 2, 2)), jnp.ones((3, 2)))
      >>> activations["layer"].shape
      (4, 3, 2)

    Source: the idea of sowing and reaping is that of the Oryx library.
    """
    filters = as_filters(names)

    def reaped(*args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Array]]:
        closed, arrays, tree = traced(function, args, kwargs)
        every_name = dict.fromkeys(_tags(closed.jaxpr, lambda name: True))
        require_all_found(filters, every_name, "were asked for and are not among the tags")

        def wanted(name):
            return matches(name, None, filters)

        outputs, tagged = _evaluate(closed.jaxpr, closed.consts, arrays, wanted)
        names = list(_tags(closed.jaxpr, wanted))
        values: dict[str, list[Array]] = {}
        for name, value in zip(names, tagged, strict=True):
            values.setdefault(name, []).append(value)
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
    tagged: list[Any] = []

    def rule(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list:
        inner = _inner_tag(equation, wanted)
        if inner is not None:
            outputs, values = _evaluate_inside(equation, inputs, wanted, inner)
            tagged.extend(values)
            return outputs
        outputs = bind(equation, inputs)
        if equation.primitive is primitives.name_p and wanted(equation.params["name"]):
            tagged.extend(outputs)
        return outputs

    return evaluate(jaxpr, consts, arguments, rule), tagged


def _inner_tag(equation: core.JaxprEqn, wanted: Wanted) -> str | None:
    """A wanted tag in the body of an equation, or None without any."""
    for body in core.jaxprs_in_params(equation.params):
        for name in _tags(body, wanted):
            return name
    return None


def _evaluate_inside(
    equation: core.JaxprEqn, inputs: Sequence[Any], wanted: Wanted, inner: str
) -> tuple[list, list]:
    """The outputs of an equation, and the values of the wanted tags in its body."""
    inside = partial(_evaluate, wanted=wanted)
    if equation.primitive in (primitives.custom_jvp_call_p, primitives.custom_vjp_call_p):
        # Bound as it is, so that the outputs keep their own derivative. The body is evaluated a
        # second time for its tags; the compiler merges both.
        body = equation.params["call_jaxpr"]
        return bind(equation, inputs), inside(body.jaxpr, body.consts, inputs)[1]
    results = enter(equation, inputs, inside)
    if results is None:
        raise ValueError(
            f"tag {inner!r} is inside {equation.primitive.name}, out of which no value can be "
            "handed; tag its result instead"
        )
    return results
