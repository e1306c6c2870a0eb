"""What arrays and programs are, as a digest: whether another one is the same."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import jax
import numpy as np
from jax.extend import core

from jaxalign._core.jaxprs import equations
from jaxalign._core.mesh import is_key
from jaxalign._core.naming import free_name

PLACES = ("ctx_mesh", "sharding", "out_sharding", "in_shardings", "out_shardings")
"""Parameters of equations that say where something is computed, and not what."""

MOVES = ("reshard", "sharding_constraint", "mesh_cast")
"""Equations that change nothing but the place of an array."""


def named_arrays(tree: Any) -> Iterator[tuple[str, Any]]:
    """The leaves by name, as "model.hidden_1.kernel.value", random keys as the numbers they are
    made of.

    Each has a name of its own: where keys hold dots, {"a.b": x, "a": {"b": y}}, the second is
    called "a.b~2".
    """
    taken: set[str] = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        dotted = jax.tree_util.keystr(path, simple=True, separator=".")
        name = free_name(dotted, taken.__contains__)
        taken.add(name)
        yield name, jax.random.key_data(leaf) if is_key(leaf) else leaf


def digest(tree: Any) -> str:
    """SHA-256 of the names, shapes, dtypes and values of all arrays; of what has no values here, a
    specification, a traced array or one that lies in several processes, without them.
    """
    hashed = hashlib.sha256()
    for name, leaf in named_arrays(tree):
        array = leaf if _is_elsewhere(leaf) else _on_host(leaf)
        hashed.update(f"{name} {array.shape} {array.dtype}".encode())
        if isinstance(array, np.ndarray):
            hashed.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()


def _on_host(leaf: Any) -> np.ndarray:
    """The values of an array, which does not keep them: those of all would fill the host."""
    if not isinstance(leaf, jax.Array) or len(leaf.sharding.device_set) == 1:
        return np.asarray(leaf)
    array = np.empty(leaf.shape, leaf.dtype)
    for shard in leaf.addressable_shards:
        if shard.replica_id == 0:
            array[shard.index] = shard.data
    return array


def _is_elsewhere(leaf: Any) -> bool:
    if isinstance(leaf, jax.core.Tracer):
        return True
    if isinstance(leaf, jax.Array):
        return not leaf.is_fully_addressable
    return isinstance(leaf, jax.ShapeDtypeStruct)


def digest_of_program(function: Callable, *arguments: Any) -> str:
    """SHA-256 of what a function computes: its equations and constants."""
    # A new function: jax keeps what it traced of one, though what that closes over has changed.
    closed = jax.make_jaxpr(lambda *x: function(*x))(*arguments)
    inner = [
        parameter
        for equation in equations(closed.jaxpr)
        for parameter in jax.tree.leaves(equation.params)
        if isinstance(parameter, core.ClosedJaxpr)
    ]
    constants = digest([each.consts for each in (closed, *inner)])
    # Functions are printed with their addresses, which differ between processes.
    text = re.sub(r"0x[0-9a-f]+", "", _text(closed.jaxpr))
    text = re.sub(r"(Abstract)?Mesh\(([^()]|\([^()]*\))*\)", "Mesh", text)
    return hashlib.sha256(f"{text}{constants}".encode()).hexdigest()


def _text(jaxpr: core.Jaxpr) -> str:
    """A program in words, the same in each process and on each mesh.

    jax's own print does not do: it shows what is called twice once or twice, as tracing happened
    to find it again.
    """
    names: dict[Any, str] = {}
    numbers = count()

    def name(value: Any) -> str:
        if isinstance(value, core.Literal):
            return str(value.val)
        if value not in names:
            names[value] = f"x{next(numbers)}"
        return names[value]

    def line(results: Sequence[Any], what: str, values: Sequence[Any]) -> str:
        typed = [
            " ".join(f"{name(value)}:{value.aval.str_short()}" for value in each)
            for each in (results, values)
        ]
        return f"{typed[0]} = {what} {typed[1]}"

    lines = [line(jaxpr.invars, "lambda", jaxpr.constvars)]
    for equation in jaxpr.eqns:
        if equation.primitive.name in MOVES:
            names |= zip(equation.outvars, map(name, equation.invars), strict=True)
            continue
        settings = [
            f"{key}={_shown(value)}"
            for key, value in sorted(equation.params.items())
            if key not in PLACES
        ]
        lines.append(line(equation.outvars, f"{equation.primitive} {settings}", equation.invars))
    return "\n".join([*lines, line((), "return", jaxpr.outvars)])


def _shown(setting: Any) -> Any:
    """A parameter of an equation in words."""
    if isinstance(setting, tuple | list):
        return [_shown(each) for each in setting]
    if isinstance(setting, set | frozenset):  # which have no order
        return sorted(map(str, setting))
    if isinstance(setting, core.ClosedJaxpr):
        setting = setting.jaxpr
    return _text(setting) if isinstance(setting, core.Jaxpr) else str(setting)
