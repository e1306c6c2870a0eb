"""Where a program names values, and the program run with these values as further results."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from jax.extend import core
from jax.extend.core import primitives

from jaxalign._core.jaxprs import bind, enter, evaluate
from jaxalign.capture._marks import Axis, mark_p


class Naming(NamedTuple):
    """A kind of equation that names a value.

    Attributes:
      word: what a name is called in messages.
      primitive: that of the equations.
      remedy: for a value that cannot be handed out.
    """

    word: str
    primitive: core.Primitive
    remedy: str


TAGS = Naming("tag", primitives.name_p, "tag its result instead")
MARKS = Naming("layer", mark_p, "name other layers in layers=, such as the one around it")

Wanted = Callable[[str], bool]
"""Whether the values of a name are to be returned."""


class Site(NamedTuple):
    """A value that a program names.

    Attributes:
      name: its name.
      order: positions of the equations that lead to it, outermost first; None stands for the
        iteration of a scan.
      axes: those that transformations put before it, in the order of the value's axes.
      shape: the shape of the value with these axes.
    """

    name: str
    order: tuple[int | None, ...]
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]


def sites(
    jaxpr: core.Jaxpr,
    naming: Naming,
    loops: tuple[Axis, ...] = (),
    order: tuple[int | None, ...] = (),
) -> Iterator[Site]:
    """The named values of a program in the order in which it computes them."""
    for position, equation in enumerate(jaxpr.eqns):
        inner_order = (*order, position)
        inner_loops = loops
        if equation.primitive is naming.primitive:
            name = equation.params["name"]
            axes = (*loops, *equation.params.get("axes", ()))
            lengths = tuple(axis.size for axis in loops)
            value: Any = equation.outvars[0].aval
            yield Site(name, inner_order, axes, (*lengths, *value.shape))
        if equation.primitive is primitives.scan_p:
            inner_order = (*inner_order, None)
            inner_loops = (*loops, Axis(equation.params["length"], "scan", None))
        for inner in core.jaxprs_in_params(equation.params):
            yield from sites(inner, naming, inner_loops, inner_order)


def run(
    jaxpr: core.Jaxpr,
    consts: Sequence[Any],
    arguments: Sequence[Any],
    naming: Naming,
    wanted: Wanted,
) -> tuple[list, list]:
    """The outputs of a program, and its wanted values in the order of ``sites``.

    Raises:
      ValueError: a wanted value in the body of an equation that has no way out, such as ``cond``.
    """
    values: list[Any] = []

    def rule(equation: core.JaxprEqn, inputs: Sequence[Any]) -> Sequence[Any]:
        inner = _wanted_inside(equation, naming, wanted)
        if inner is not None:
            outputs, inner_values = _run_inside(equation, inputs, naming, wanted, inner)
            values.extend(inner_values)
            return outputs
        # A mark that was read has done its work.
        is_mark = equation.primitive is mark_p
        outputs = list(inputs[:1]) if is_mark else bind(equation, inputs)
        if equation.primitive is naming.primitive and wanted(equation.params["name"]):
            values.extend(outputs)
        return outputs

    return evaluate(jaxpr, consts, arguments, rule), values


def _wanted_inside(equation: core.JaxprEqn, naming: Naming, wanted: Wanted) -> str | None:
    """A wanted name in the body of an equation, or None without any."""
    for body in core.jaxprs_in_params(equation.params):
        for site in sites(body, naming):
            if wanted(site.name):
                return site.name
    return None


def _run_inside(
    equation: core.JaxprEqn, inputs: Sequence[Any], naming: Naming, wanted: Wanted, inner: str
) -> tuple[list, list]:
    """The outputs of an equation, and the wanted values in its body."""
    inside = partial(run, naming=naming, wanted=wanted)
    if equation.primitive in (primitives.custom_jvp_call_p, primitives.custom_vjp_call_p):
        # Bound as it is, so that the outputs keep their own derivative. The body is evaluated a
        # second time for its values; the compiler merges both.
        body = equation.params["call_jaxpr"]
        return bind(equation, inputs), inside(body.jaxpr, body.consts, inputs)[1]
    results = enter(equation, inputs, inside)
    if results is None:
        transform = equation.primitive.name
        if equation.primitive is primitives.while_p:
            transform = "while_loop"
        raise ValueError(
            f"{naming.word} {inner!r} is inside {transform}, out of which no value can be "
            f"handed; {naming.remedy}"
        )
    return results
