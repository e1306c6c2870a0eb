"""The arrays of a model from its user's own orbax checkpoint, all or nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxalign._core.arrays import narrowed
from jaxalign._core.kinds import found, require_kind
from jaxalign.models.weights._fit import Form, require_fit

State = TypeVar("State")

BESIDE_A_MODEL = {"step", "opt_state", "optimizer"}
"""What the state of a training loop holds beside a model, in flax's TrainState and in ours."""


def is_orbax(folder: str | Path) -> bool:
    """Whether this is a folder that orbax wrote: a checkpoint, or a manager's checkpoints.

    Args:
      folder: any path.

    Returns:
      True or False.

    Example:
      >>> from jaxalign.models.weights import is_orbax
      >>> is_orbax("weights.safetensors")
      False

    Source: ours, on orbax.
    """
    path = Path(folder)
    if not path.is_dir():
        return False
    return any((*path.glob(_METADATA), *path.glob(f"*/{_METADATA}"), *_steps(path)))


def restore(folder: str | Path, state: State) -> State:
    """A model's state with the arrays of an orbax checkpoint.

    Args:
      folder: a checkpoint, as ``StandardCheckpointer`` and ``PyTreeCheckpointer`` write it, or the
        folder of a ``CheckpointManager``, whose newest step is taken. It holds the state itself,
        or, by the names "params", "model", ..., that of a training loop, whose step and optimizer
        are left.
      state: of a model that is built like the one that was saved: ``nnx.state(model)``, or the
        variables of a flax.linen module. Random keys of nnx models stay as they are.

    Returns:
      The state, with dtypes and devices as they were.

    Raises:
      FileNotFoundError: no checkpoint of orbax there.
      TypeError: no state.
      ValueError: a checkpoint of another model: lists the names that are missing, unused and of
        another shape. One that cannot be read. A number that the model's dtype cannot hold.

    Example:
      >>> import tempfile
      >>> import orbax.checkpoint as ocp
      >>> from flax import nnx
      >>> from jaxalign.models.weights import restore
      >>> trained = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> folder = tempfile.mkdtemp() + "/checkpoint"
      >>> with ocp.StandardCheckpointer() as checkpointer:
      ...     checkpointer.save(folder, nnx.state(trained))
      >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(1))
      >>> nnx.update(model, restore(folder, nnx.state(model)))
      >>> bool((model.kernel == trained.kernel).all())
      True

    Source: ours.
    """
    remedy = "pass nnx.state(model), or the variables of a flax.linen module"
    if isinstance(state, nnx.Module) or not isinstance(state, Mapping):
        raise TypeError(f"state must be that of a flax model, found {found(state)}; {remedy}")
    require_kind(folder, str | Path, "folder", "pass the folder of a checkpoint")
    keys = []
    if isinstance(state, nnx.State):
        keys = list(_named(nnx.filter_state(state, nnx.RngState)))
    wanted = {name: leaf for name, leaf in _named(state).items() if name not in keys}
    item = _item(Path(folder))
    arrays = {name: x for name, x in _model_in(_read(item), wanted).items() if name not in keys}
    require_fit(
        {name: Form(jnp.shape(leaf), leaf.dtype) for name, leaf in wanted.items()},
        arrays,
        f"checkpoint {item} does not fit the model, which needs {len(wanted)} arrays",
        "Build the model as it was when it was saved",
    )

    def restored(path: Any, leaf: Any) -> Any:
        name = _name(path)
        if name in keys:
            return leaf
        value = narrowed(arrays[name], leaf.dtype, f"{name} of the checkpoint")
        return jax.device_put(value, getattr(leaf, "sharding", None))

    return jax.tree_util.tree_map_with_path(restored, state)


_METADATA = "_METADATA"


def _steps(folder: Path) -> list[Path]:
    """The steps of a manager, the newest one last."""
    steps = [path for path in folder.iterdir() if path.name.isdigit()]
    return sorted((s for s in steps if any(s.glob(f"*/{_METADATA}"))), key=lambda s: int(s.name))


def _item(folder: Path) -> Path:
    """The folder of the arrays."""
    if (folder / _METADATA).is_file():
        return folder
    if not folder.is_dir():
        raise FileNotFoundError(f"folder must be a checkpoint of orbax, found none at {folder}")
    step = next(iter(reversed(_steps(folder))), folder)
    items = sorted(path.parent for path in step.glob(f"*/{_METADATA}"))
    if not items:
        raise FileNotFoundError(f"folder must be a checkpoint of orbax, found none at {folder}")
    if len(items) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in items)
        raise ValueError(f"folder must hold one item, found {names} in {folder}; pass one of these")
    return items[0].absolute()


def _read(item: Path) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name, on the host."""
    import orbax.checkpoint as ocp  # takes seconds to import

    item = item.absolute()
    try:
        tree = ocp.PyTreeCheckpointHandler().metadata(item).tree
        kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        with ocp.PyTreeCheckpointer() as reader:
            arrays = reader.restore(item, args=ocp.args.PyTreeRestore(restore_args=kinds))
    # Orbax and its storage raise a dozen kinds.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(f"checkpoint {item} cannot be read ({reason:.200})") from error
    return _named(arrays)


def _named(tree: Any) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(path: Any) -> str:
    """A dotted name, without the "value" of an nnx variable."""
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")


def _model_in(arrays: dict[str, np.ndarray], wanted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of the model among those of a checkpoint: all of them, or those of one entry."""
    entries = {name.partition(".")[0] for name in arrays} - BESIDE_A_MODEL
    own = {name: x for name, x in arrays.items() if name.partition(".")[0] in entries}
    choices = {"": own}
    for entry in sorted(entries):
        inside = {
            name.partition(".")[2]: x for name, x in own.items() if name.startswith(f"{entry}.")
        }
        choices[entry] = inside
    fitting = {entry: len(choice.keys() & wanted.keys()) for entry, choice in choices.items()}
    most = max(fitting.values())
    best = [entry for entry, number in fitting.items() if number == most]
    if most and len(best) > 1:
        raise ValueError(
            f"checkpoint must hold one model, found {', '.join(best)}; save the one that is meant "
            "by itself"
        )
    return choices[best[0]]
