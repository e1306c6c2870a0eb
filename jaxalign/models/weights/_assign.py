"""Tensors into a model: torch's names and layouts to those of flax.nnx, all or nothing."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

# What torch calls a variable of nnx; others have one name in both.
_TORCH_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
# Buffers that checkpoints carry and that hold nothing learnt.
_COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|position_ids)$")
_SHOWN = 10

Path = tuple[Any, ...]


def assign(
    model: nnx.Module, tensors: Mapping[str, np.ndarray], *, rename: Sequence[tuple[str, str]] = ()
) -> None:
    r"""Set every parameter and batch statistic of a model to the tensor with its name, in the
    model's layout and dtype.

    The tensor "layer1.0.conv1.weight" belongs to ``model.layer1[0].conv1.kernel``: kernel, scale
    and embedding are a "weight", mean and var "running_mean" and "running_var", all else has one
    name. Kernels are turned: (out, in, k, l) → (k, l, in, out), also depthwise ones, (out, in) →
    (in, out). ``num_batches_tracked`` and ``position_ids`` are left out.

    Args:
      model: any nnx model; its arrays keep their dtypes and devices. Nothing changes unless all
        tensors fit.
      tensors: name → array, in torch's layout.
      rename: (regular expression, replacement) pairs, applied to every name of ``tensors`` in this
        order; a tensor whose name becomes empty is left out.

    Raises:
      TypeError: not an nnx model.
      ValueError: names or shapes differ, or two tensors get one name; lists the first ten names
        that are missing, unused and of another shape.
      re.error: an expression in ``rename`` is none.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxalign.models.weights import assign
      >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> assign(model, {"head.weight": np.eye(3, 2), "head.bias": np.ones(3)}, rename=[(r"^head\.", "")])
      >>> model.kernel[...].tolist(), model.kernel[...].dtype
      ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype('float32'))

    Source: ours.
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx module, found {type(model).__name__}")
    variables: dict[str, tuple[Path, nnx.Variable]] = {}
    for path, variable in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))):
        if variables.setdefault(_torch_name(path), (path, variable))[0] != path:
            raise ValueError(
                f"two variables of the model are called {_torch_name(path)!r} by torch; such a model cannot be filled by name"
            )
    given = _renamed(tensors, rename)
    _require_fit(
        {name: _torch_shape(*found) for name, found in variables.items()},
        given,
        type(model).__name__,
    )
    values = [
        (path, _in_layout(path, variable, given[name]))
        for name, (path, variable) in variables.items()
    ]
    nnx.update(model, nnx.from_flat_state(values))


def _torch_name(path: Path) -> str:
    return ".".join(map(str, (*path[:-1], _TORCH_NAMES.get(path[-1], path[-1]))))


def _torch_shape(path: Path, variable: nnx.Variable) -> tuple[int, ...]:
    """The shape of the tensor that becomes this variable: for a kernel (..., in, out), it is (out,
    in, ...).
    """
    shape = tuple(variable.shape)
    return (shape[-1], shape[-2], *shape[:-2]) if _is_turned(path, shape) else shape


def _in_layout(path: Path, variable: nnx.Variable, tensor: np.ndarray) -> jax.Array:
    turned = (
        np.transpose(tensor, (*range(2, tensor.ndim), 1, 0))
        if _is_turned(path, tensor.shape)
        else tensor
    )
    # A copy, as files share memory between tensors and jax may share it with numpy.
    value = np.array(turned, dtype=variable.dtype, order="C")
    return jax.device_put(value, getattr(variable.get_value(), "sharding", None))


def _is_turned(path: Path, shape: tuple[int, ...]) -> bool:
    return path[-1] == "kernel" and len(shape) >= 2


def _renamed(
    tensors: Mapping[str, np.ndarray], rename: Sequence[tuple[str, str]]
) -> dict[str, np.ndarray]:
    given: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in rename:
            new = re.sub(pattern, replacement, new)
        if not new:
            continue
        if new in given:
            raise ValueError(
                f"rename gives the tensors {origin[new]!r} and {name!r} the same name {new!r}"
            )
        if not _COUNTERS.search(new):
            given[new], origin[new] = np.asarray(tensor), name
    return given


def _require_fit(
    wanted: dict[str, tuple[int, ...]], given: dict[str, np.ndarray], model: str
) -> None:
    both = [name for name in wanted if name in given]
    problems = {
        "missing": [f"{name} {shape}" for name, shape in wanted.items() if name not in given],
        "unused": [
            f"{name} {tensor.shape}" for name, tensor in given.items() if name not in wanted
        ],
        "of another shape": [
            f"{name} {given[name].shape} instead of {wanted[name]}"
            for name in both
            if given[name].shape != wanted[name]
        ],
        "not floating point": [
            f"{name} {given[name].dtype}"
            for name in both
            if not jnp.issubdtype(given[name].dtype, jnp.floating)
        ],
    }
    if any(problems.values()):
        lines = [
            f"\n  {len(names)} {what}: {'; '.join(names[:_SHOWN])}{'; ...' if len(names) > _SHOWN else ''}"
            for what, names in problems.items()
            if names
        ]
        raise ValueError(
            f"the tensors do not fit {model}, which needs {len(wanted)}, found {len(given)}; nothing was assigned"
            + "".join(lines)
            + "\nPass the weights of this architecture, or translate their names by rename"
        )
