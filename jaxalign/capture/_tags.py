"""Capture in any JAX function: ``tag`` names a value where it is computed, ``reap`` returns it.

A tag is a ``jax.ad_checkpoint.checkpoint_name``, an identity that every transformation keeps. So
functions that name values for rematerialization are already tagged. ``reap`` evaluates the
function's jaxpr and returns the named values, also from inside jit, remat and scan.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from jax import Array
from jax.ad_checkpoint import checkpoint_name

from jaxalign._core.kinds import require_function, require_kind
from jaxalign.capture._filters import (
    Filter,
    Filters,
    as_filters,
    fitting,
    names_of_calls,
    require_all_found,
)
from jaxalign.capture._layers import run_layers
from jaxalign.capture._program import Program, program
from jaxalign.capture._sites import TAGS


def tag(x: Array, name: str) -> Array:
    """``x`` itself, with a name for ``reap`` and ``tap``; without them it costs nothing.

    Args:
      x: an array, inside a function of JAX.
      name: for the activation; glob patterns of ``tap`` and ``reap`` choose by it.

    Returns:
      ``x``.

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
    require_kind(name, str, "name", 'pass a name, as in tag(x, "hidden")')
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
      leading axis, one entry per iteration. That of a ``vmap`` is where jax has put it: it need not
      be the first one, as it is by ``tap``.

    Raises:
      ValueError: when called: a pattern that fits no tag; a tag inside ``cond`` or ``while_loop``,
        where a value may be computed any number of times.

    Example:
      >>> import jax
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
    require_function(function, "function", "pass the function that tags values")
    filters = as_filters(names, "names")

    def reaped(*args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Array]]:
        call = program(function, args, kwargs)
        fits = _fitting_tags(call, filters)
        output, values = call.run(TAGS, lambda name: any(fits[name]))
        found = [site.name for site in call.sites(TAGS) if any(fits[site.name])]
        return output, OrderedDict(zip(names_of_calls(found), values, strict=True))

    return reaped


def function_forward(
    function: Callable[..., Any], filters: Filters
) -> Callable[..., tuple[Any, OrderedDict[str, Array]]]:
    """``(parameters, *args) -> (output, activations)`` of a function's tags, as of layers."""

    def forward(*args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Array]]:
        call = program(function, args, kwargs)
        fits = _fitting_tags(call, filters)
        return run_layers(call, TAGS, fits, function, args, kwargs)

    return forward


def _fitting_tags(call: Program, filters: Filters) -> dict[str, tuple[bool, ...]]:
    fits = {site.name: fitting(site.name, None, filters) for site in call.sites(TAGS)}
    require_all_found(filters, fits, "were asked for and are not among the tags")
    return fits
