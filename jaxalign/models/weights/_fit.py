"""Whether named arrays are those that a model needs: what is missing, unused or of another form."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

LISTED = 10
"""So many names of each kind of problem are shown."""


class Form(NamedTuple):
    """What an array of a model is: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: Any


def require_fit(
    wanted: Mapping[str, Form], arrays: Mapping[str, Any], message: str, remedy: str
) -> None:
    """Raise unless the arrays are those wanted.

    Args:
      wanted: name → what the model needs.
      arrays: name → what a file holds.
      message: the first line of the error.
      remedy: its last line.

    Raises:
      ValueError: lists the first ten names that are missing, unused, of another shape and of
        another dtype. Floats may be rounded to other floats.
    """
    problems = _problems(wanted, arrays)
    if not any(problems.values()):
        return
    lines = [message]
    for problem, names in problems.items():
        if names:
            more = ["..."] if len(names) > LISTED else []
            lines.append(f"  {len(names)} {problem}: {'; '.join([*names[:LISTED], *more])}")
    raise ValueError("\n".join([*lines, remedy]))


def _problems(wanted: Mapping[str, Form], arrays: Mapping[str, Any]) -> dict[str, list[str]]:
    """Descriptions of what does not fit, by the kind of problem."""
    problems: dict[str, list[str]] = {
        "missing": [f"{name} {form.shape}" for name, form in wanted.items() if name not in arrays],
        "unused": [f"{name} {x.shape}" for name, x in arrays.items() if name not in wanted],
        "of another shape": [],
        "of another dtype": [],
    }
    for name, form in wanted.items():
        if name not in arrays:
            continue
        shape, dtype = arrays[name].shape, arrays[name].dtype
        if shape != form.shape:
            problems["of another shape"].append(f"{name} {shape} instead of {form.shape}")
        if not _same_kind(dtype, form.dtype):
            problems["of another dtype"].append(f"{name} {dtype} instead of {form.dtype}")
    return problems


def _same_kind(found: Any, wanted: Any) -> bool:
    """Whether values may be rounded to the model's dtype: floats, or else the same."""
    both = jnp.issubdtype(found, jnp.floating) and jnp.issubdtype(wanted, jnp.floating)
    return both or found == wanted
