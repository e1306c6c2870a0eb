"""What a run is, in a few digests: a checkpoint of another run is told by them."""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import count
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.extend import core

from jaxalign._core.jaxprs import equations
from jaxalign.monitoring import Monitor
from jaxalign.training._chunk import forward
from jaxalign.training._named_arrays import named_arrays
from jaxalign.training._optimizer import extra_arguments
from jaxalign.training._state import Data, Recipe, TrainState

COMPUTED = ("initial state", "optimizer", "model or objective")
"""The digests that may come out otherwise on another device or by another version of a library."""


PLACES = ("ctx_mesh", "sharding", "out_sharding", "in_shardings", "out_shardings")
"""Parameters of equations that say where something is computed, and not what."""

MOVES = ("reshard", "sharding_constraint", "mesh_cast")
"""Equations that change nothing but the place of an array."""


class Fingerprint(NamedTuple):
    """What a run is known by.

    Attributes:
      settings: numbers that were passed.
      environment: what computed the digests.
      digests: of what was passed, by what a message calls it.
    """

    settings: dict[str, Any]
    environment: str
    digests: dict[str, str]


def fingerprint(
    settings: dict[str, Any],
    recipe: Recipe,
    start: TrainState,
    hyperparameters: Any,
    data: Data,
    batch: tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct],
) -> Fingerprint:
    """What a run is known by.

    Args:
      settings: numbers that were passed.
      recipe: what is trained.
      start: the state at step 0; of several models with their axis.
      hyperparameters: of the optimizers, with the same axis, or None.
      data: what it is trained on and measured with.
      batch: what inputs and labels of a batch are.
    """
    axes = int(start.step.ndim)  # of models
    state, own = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x)[axes:], x.dtype), (start, hyperparameters)
    )
    parameters, rest = recipe.network.split(state.model)

    def optimize(parameters: Any, optimizer_state: Any, own: Any) -> Any:
        # Gradient and loss are of the model and the objective, which have a digest of their own.
        optimizer = recipe.transformation(own)
        extra = extra_arguments(0.0, parameters, optax.tree.sum)
        updated = optimizer.update(parameters, optimizer_state, parameters, **extra)
        return optimizer.init(parameters), updated

    def loss(parameters: Any, rest: Any, inputs: Any, labels: Any) -> Any:
        key = partial(jax.random.key, 0)
        return forward(recipe, None, parameters, rest, inputs, labels, key)[0]

    monitored = {
        name: (m.inputs, m.targets) for name, m in data.monitors.items() if isinstance(m, Monitor)
    }
    digests = {
        "training data": digest((data.inputs, data.labels)),
        "monitored data": digest(monitored),
        "hyperparameters": digest(hyperparameters),
        "arrays of model or optimizer": digest(state),
        "initial state": digest(start.model),
        "optimizer": digest_of_program(optimize, parameters, state.optimizer, own),
        "model or objective": digest_of_program(loss, parameters, rest, *batch),
    }
    libraries = ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax"))
    environment = f"{jax.devices()[0].device_kind} with {libraries}"
    return Fingerprint(settings, environment, digests)


def digest(tree: Any) -> str:
    """SHA-256 of the names, shapes, dtypes and values of all arrays; of what has no values here, a
    specification or an array that lies in several processes, without them.
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
    if isinstance(leaf, jax.Array):
        return not leaf.is_fully_addressable
    return isinstance(leaf, jax.ShapeDtypeStruct)


def digest_of_program(function: Callable, *arguments: Any) -> str:
    """SHA-256 of what a function computes: its equations and constants."""
    closed = jax.make_jaxpr(function)(*arguments)
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
