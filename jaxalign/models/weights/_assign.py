"""Assign tensors with torch's names and layouts to a flax.nnx model, all or nothing."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxalign._core.arrays import as_numbers, narrowed
from jaxalign._core.kinds import found, require_kind
from jaxalign.models.weights._fit import Form, require_fit
from jaxalign.models.weights._layouts import Layout, as_it_is, kernel_layout

# torch's names for variables of nnx; other variables have the same name in both.
_TORCH_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
# Buffers in checkpoints that are not learnt values.
_COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|position_ids)$")

Path = tuple[Any, ...]


def assign(
    model: nnx.Module, tensors: Mapping[str, np.ndarray], *, rename: Sequence[tuple[str, str]] = ()
) -> None:
    r"""Set every parameter and batch statistic of a model to the tensor of the same name.

    The tensor "layer1.0.conv1.weight" belongs to ``model.layer1[0].conv1.kernel``: kernel, scale
    and embedding are a "weight" in torch, mean and var are "running_mean" and "running_var", other
    names are the same. The type of a layer says how its kernel lies in torch: nnx.Linear (out, in)
    → (in, out), nnx.Conv (out, in, k, l) → (k, l, in, out), also depthwise, nnx.ConvTranspose
    (in, out, k, l) → (k, l, in, out) and flipped, as torch defines it. ``num_batches_tracked`` and
    ``position_ids`` are left out.

    Args:
      model: any nnx model; its arrays keep their dtypes and devices. Nothing changes unless all
        tensors fit.
      tensors: name → array, in torch's layout.
      rename: (regular expression, replacement) pairs, applied to every name of ``tensors`` in this
        order; a tensor whose name becomes empty is left out.

    Raises:
      TypeError: not an nnx model, no mapping from names to arrays, or no pairs in ``rename``.
      ValueError: names or shapes differ, or two tensors get the same name; lists the first ten
        names that are missing, unused and of another shape. A kernel of another kind of layer. A
        number that the model's dtype cannot hold. An invalid expression in ``rename``.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxalign.models.weights import assign
      >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> tensors = {"head.weight": np.eye(3, 2), "head.bias": np.ones(3)}
      >>> assign(model, tensors, rename=[(r"^head\.", "")])
      >>> model.kernel[...].tolist(), model.kernel[...].dtype
      ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype('float32'))

    Source: ours; the layouts are those of torch.nn.
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx module, found {found(model)}")
    targets = _targets(model)
    by_name = renamed(tensors, rename)
    wanted = forms(model)
    require_fit(
        wanted,
        by_name,
        f"the tensors do not fit {type(model).__name__}, which needs {len(wanted)}, "
        f"found {len(by_name)}; nothing was assigned",
        "Pass the weights of this architecture, or translate their names by rename",
    )
    values = [
        (target.path, _value(name, target, by_name[name])) for name, target in targets.items()
    ]
    nnx.update(model, nnx.from_flat_state(values))


class _Target(NamedTuple):
    """A variable of the model: where it is, and how its values lie in torch's tensor."""

    path: Path
    variable: nnx.Variable
    layout: Layout

    @property
    def form(self) -> Form:
        """The shape and dtype of the tensor."""
        return Form(self.layout.torch_shape(self.variable.shape), self.variable.dtype)


def forms(model: nnx.Module) -> dict[str, Form]:
    """The tensors that ``assign`` needs for a model, by torch's names."""
    return {name: target.form for name, target in _targets(model).items()}


def _targets(model: nnx.Module) -> dict[str, _Target]:
    """The parameters and batch statistics of a model by torch's names."""
    layers = dict(nnx.iter_modules(model))
    targets: dict[str, _Target] = {}
    for path, variable in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))):
        name = _torch_name(path)
        if name in targets:
            raise ValueError(
                f"two variables of the model are called {name!r} by torch; "
                "such a model cannot be filled by name"
            )
        layout = as_it_is(len(variable.shape))
        if path[-1] == "kernel" and len(variable.shape) > 1:
            layout = kernel_layout(layers.get(path[:-1]), len(variable.shape), name)
        targets[name] = _Target(path, variable, layout)
    return targets


def _torch_name(path: Path) -> str:
    return ".".join(map(str, (*path[:-1], _TORCH_NAMES.get(path[-1], path[-1]))))


def _value(name: str, target: _Target, tensor: np.ndarray) -> jax.Array:
    """The tensor in the layout, the dtype and on the devices of the variable."""
    # A copy: tensors of a file may share memory, and jax may share memory with numpy.
    value = narrowed(target.layout.from_torch(tensor), target.variable.dtype, _shown(name))
    return jax.device_put(value, getattr(target.variable.get_value(), "sharding", None))


def renamed(
    tensors: Mapping[str, np.ndarray], rename: Sequence[tuple[str, str]]
) -> dict[str, np.ndarray]:
    """The tensors by their new names, without counters."""
    require_kind(tensors, Mapping, "tensors", "pass names and arrays, as read(path) returns them")
    require_kind(rename, Sequence, "rename", "pass a list of pairs (expression, replacement)")
    by_name: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    for name, tensor in tensors.items():
        require_kind(name, str, "each name of tensors", "pass names as text")
        new = _new_name(name, rename)
        if not new:
            continue
        if new in by_name:
            raise ValueError(
                f"rename gives the tensors {origin[new]!r} and {name!r} the same name {new!r}"
            )
        if not _COUNTERS.search(new):
            by_name[new] = np.asarray(as_numbers(tensor, _shown(name)))
            origin[new] = name
    return by_name


def _new_name(name: str, rename: Sequence[tuple[str, str]]) -> str:
    for pair in rename:
        try:
            pattern, replacement = pair
            name = re.sub(pattern, replacement, name)
        except (TypeError, ValueError, re.error) as error:
            raise ValueError(
                "rename must be pairs of a regular expression and a replacement, "
                f"found {pair!r} ({error})"
            ) from None
    return name


def _shown(name: str) -> str:
    return f"tensors[{name!r}]"
