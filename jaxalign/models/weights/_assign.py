"""Assign tensors with torch's names and layouts to a flax.nnx model, all or nothing."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

# torch's names for variables of nnx; other variables have the same name in both.
_TORCH_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
# Buffers in checkpoints that are no learnt values.
_COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|position_ids)$")
_SHOWN = 10

Path = tuple[Any, ...]


def assign(
    model: nnx.Module, tensors: Mapping[str, np.ndarray], *, rename: Sequence[tuple[str, str]] = ()
) -> None:
    r"""Set every parameter and batch statistic of a model to the tensor of the same name.

    The tensor "layer1.0.conv1.weight" belongs to ``model.layer1[0].conv1.kernel``: kernel, scale
    and embedding are a "weight" in torch, mean and var are "running_mean" and "running_var", other
    names are the same. Kernels are transposed: (out, in, k, l) → (k, l, in, out), also depthwise
    ones, and (out, in) → (in, out). ``num_batches_tracked`` and ``position_ids`` are left out.

    Args:
      model: any nnx model; its arrays keep their dtypes and devices. Nothing changes unless all
        tensors fit.
      tensors: name → array, in torch's layout.
      rename: (regular expression, replacement) pairs, applied to every name of ``tensors`` in this
        order; a tensor whose name becomes empty is left out.

    Raises:
      TypeError: not an nnx model.
      ValueError: names or shapes differ, or two tensors get the same name; lists the first ten
        names that are missing, unused and of another shape.
      re.error: an invalid expression in ``rename``.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxalign.models.weights import assign
      >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> tensors = {"head.weight": np.eye(3, 2), "head.bias": np.ones(3)}
      >>> assign(model, tensors, rename=[(r"^head\.", "")])
      >>> model.kernel[...].tolist(), model.kernel[...].dtype
      ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype('float32'))
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx module, found {type(model).__name__}")
    variables = _variables(model)
    by_name = _renamed(tensors, rename)
    shapes = {name: _torch_shape(path, variable) for name, (path, variable) in variables.items()}
    _require_fit(shapes, by_name, type(model).__name__)
    values = [
        (path, _in_layout(path, variable, by_name[name]))
        for name, (path, variable) in variables.items()
    ]
    nnx.update(model, nnx.from_flat_state(values))


def _variables(model: nnx.Module) -> dict[str, tuple[Path, nnx.Variable]]:
    """The parameters and batch statistics of a model with their paths, by torch's names."""
    variables: dict[str, tuple[Path, nnx.Variable]] = {}
    for path, variable in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))):
        name = _torch_name(path)
        if name in variables:
            raise ValueError(
                f"two variables of the model are called {name!r} by torch; "
                "such a model cannot be filled by name"
            )
        variables[name] = (path, variable)
    return variables


def _torch_name(path: Path) -> str:
    return ".".join(map(str, (*path[:-1], _TORCH_NAMES.get(path[-1], path[-1]))))


def _torch_shape(path: Path, variable: nnx.Variable) -> tuple[int, ...]:
    """The shape of the variable's tensor: (out, in, ...) for a kernel (..., in, out)."""
    shape = tuple(variable.shape)
    if _is_transposed(path, shape):
        return (shape[-1], shape[-2], *shape[:-2])
    return shape


def _in_layout(path: Path, variable: nnx.Variable, tensor: np.ndarray) -> jax.Array:
    if _is_transposed(path, tensor.shape):
        tensor = np.transpose(tensor, (*range(2, tensor.ndim), 1, 0))
    # A copy: tensors of a file may share memory, and jax may share memory with numpy.
    value = np.array(tensor, dtype=variable.dtype, order="C")
    return jax.device_put(value, getattr(variable.get_value(), "sharding", None))


def _is_transposed(path: Path, shape: tuple[int, ...]) -> bool:
    return path[-1] == "kernel" and len(shape) >= 2


def _renamed(
    tensors: Mapping[str, np.ndarray], rename: Sequence[tuple[str, str]]
) -> dict[str, np.ndarray]:
    by_name: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in rename:
            new = re.sub(pattern, replacement, new)
        if not new:
            continue
        if new in by_name:
            raise ValueError(
                f"rename gives the tensors {origin[new]!r} and {name!r} the same name {new!r}"
            )
        if not _COUNTERS.search(new):
            by_name[new] = np.asarray(tensor)
            origin[new] = name
    return by_name


def _require_fit(
    shapes: dict[str, tuple[int, ...]], tensors: dict[str, np.ndarray], model: str
) -> None:
    problems: dict[str, list[str]] = {
        "missing": [f"{name} {shape}" for name, shape in shapes.items() if name not in tensors],
        "unused": [],
        "of another shape": [],
        "not floating point": [],
    }
    for name, tensor in tensors.items():
        if name not in shapes:
            problems["unused"].append(f"{name} {tensor.shape}")
            continue
        if tensor.shape != shapes[name]:
            problems["of another shape"].append(f"{name} {tensor.shape} instead of {shapes[name]}")
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            problems["not floating point"].append(f"{name} {tensor.dtype}")
    if not any(problems.values()):
        return
    message = [
        f"the tensors do not fit {model}, which needs {len(shapes)}, found {len(tensors)}; "
        "nothing was assigned"
    ]
    for problem, names in problems.items():
        if names:
            more = ["..."] if len(names) > _SHOWN else []
            listed = "; ".join([*names[:_SHOWN], *more])
            message.append(f"  {len(names)} {problem}: {listed}")
    message.append("Pass the weights of this architecture, or translate their names by rename")
    raise ValueError("\n".join(message))
