"""The settings that both monitors share, checked."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from jaxalign._core.kinds import found, require_choice, require_flag, require_kind
from jaxalign.monitoring._measures import Measure, TargetsAs, as_measure

Method = Literal["auto", "moments", "refined", "triangular", "svd", "split", "quadrature"]
METHODS: tuple[Method, ...] = get_args(Method)

Pooling = Literal["mean", "flatten", "cls"]
"""The reductions of ``prepare`` that leave one row a sample."""

Measures = Mapping[str, Measure | Callable[..., Any]]

RESERVED = ("step", "loss")
"""Names of a row of the log that no measure can have."""


def checked_measures(measures: Measures, method: Method) -> tuple[tuple[str, Measure], ...]:
    """The measures by name, each of which the method can give.

    Raises:
      ValueError: a reserved name; a measure that needs what the method does not give.
      TypeError: no dict; a name that is not a string, or a measure that is not a function.
    """
    require_kind(measures, Mapping, "measures", "pass {name: function}")
    if not measures:
        raise ValueError("measures must name at least one measure, found none")
    checked = []
    for name, function in measures.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"names of measures must be non-empty strings, found {name!r}")
        if name in RESERVED:
            raise ValueError(f"measure {name!r} has the name of a logged column; choose another")
        measure = as_measure(function)
        if not callable(measure.function):
            raise TypeError(f"measure {name!r} must be a function, found {found(measure.function)}")
        _require_given(name, measure, method)
        checked.append((name, measure))
    return tuple(checked)


def _require_given(name: str, measure: Measure, method: Method) -> None:
    if measure.source == "quadrature" and method != "quadrature":
        raise ValueError(
            f"measure {name!r} is one of a quadrature; pass method='quadrature', found {method!r}"
        )
    needs_spectrum = measure.source == "null" or (
        measure.source == "spectrum" and not measure.on_quadrature
    )
    if method == "quadrature" and needs_spectrum:
        what = "the permutation null" if measure.source == "null" else "a whole spectrum"
        raise ValueError(
            f"measure {name!r} needs {what}, of which method='quadrature' gives curve and area "
            "only; pass method='auto', leave it out, or wrap a function that holds for the nodes "
            "by monitoring.of_quadrature"
        )


def require_settings(method: str, defer: bool, targets_as: str, reduce: str) -> None:
    """Raise for a setting that is none, or for two that exclude each other."""
    require_flag(defer, "defer")
    require_choice(method, METHODS, "method")
    if defer and method not in ("auto", "moments"):
        raise ValueError(
            "defer=True keeps moments, which method='auto' and 'moments' solve, "
            f"found method={method!r}; leave out one of the two"
        )
    require_choice(targets_as, get_args(TargetsAs), "targets_as")
    remedy = ""
    if isinstance(reduce, str) and reduce == "samples":
        remedy = "; 'samples' makes several rows of a sample, which have no targets"
    require_choice(reduce, get_args(Pooling), "reduce", remedy)
