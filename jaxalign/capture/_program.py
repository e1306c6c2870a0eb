"""A call of a function, traced: what it names can be looked at before anything is computed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

from jaxalign._core.jaxprs import equations, traced
from jaxalign.capture._marks import mark_p
from jaxalign.capture._sites import Naming, Site, Wanted, run, sites

Call = Callable[..., Any]
"""How a model is called: (model, *args) → output."""


def called(model: Any, *args: Any, **kwargs: Any) -> Any:
    """The model called as it is."""
    return model(*args, **kwargs)


class Program(NamedTuple):
    """A traced call.

    Attributes:
      closed: its jaxpr.
      arrays: the arguments that are arrays.
      leaves: the leaves of its result: None where the jaxpr has an output, else the leaf itself.
      tree: the tree of its result.
    """

    closed: core.ClosedJaxpr
    arrays: list
    leaves: list
    tree: Any

    def sites(self, naming: Naming) -> list[Site]:
        """All values that it names."""
        return list(sites(self.closed.jaxpr, naming))

    def run(self, naming: Naming, wanted: Wanted) -> tuple[Any, list]:
        """The result of the call, and the wanted values in the order of the sites."""
        outputs, values = run(self.closed.jaxpr, self.closed.consts, self.arrays, naming, wanted)
        computed = iter(outputs)
        leaves = [next(computed) if leaf is _COMPUTED else leaf for leaf in self.leaves]
        return jax.tree.unflatten(self.tree, leaves), values


_COMPUTED = object()
"""Stands for an array in a result."""


def program(
    function: Callable[..., Any], arguments: Sequence[Any], settings: Mapping[str, Any]
) -> Program:
    """Trace a call; what its result holds beside arrays stays what it is.

    Raises:
      TypeError: Python that depends on the values of arrays.
    """
    leaves: list[Any] = []
    tree: Any = None

    def arrays_of(*args: Any, **kwargs: Any) -> list:
        nonlocal leaves, tree
        result, tree = jax.tree.flatten(function(*args, **kwargs))
        leaves = [_COMPUTED if isinstance(leaf, jax.Array) else leaf for leaf in result]
        return [leaf for leaf in result if isinstance(leaf, jax.Array)]

    try:
        closed, arrays, _ = traced(arrays_of, arguments, dict(settings))
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        message = str(error).partition("\n")[0]
        raise TypeError(
            "model must be one that jax.jit takes, found Python or numpy that depends on the "
            f"values of arrays; use jnp.where, jax.lax.cond or jax.numpy. jax says: {message}"
        ) from error
    return Program(closed, arrays, leaves, tree)


def same_equations(one: Program, other: Program) -> bool:
    """Whether two programs compute the same, except for marks."""

    def computed(call: Program) -> list:
        return [
            (
                equation.primitive,
                [str(x) for x in equation.invars if isinstance(x, core.Literal)],
                [x.aval for x in equation.outvars],
            )
            for equation in equations(call.closed.jaxpr)
            if equation.primitive is not mark_p
        ]

    return computed(one) == computed(other)
