"""A model from a checkpoint, without the rest of its run."""

from typing import Any

import jax

from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._named_arrays import as_state, saved_arrays


def read_model(
    checkpoints: Checkpoints, step: int, like: Any, *, models: int | None = None, model: int = 0
) -> Any:
    """The model's state in a checkpoint of ``fit``.

    Args:
      checkpoints: the folder.
      step: one of ``checkpoints.steps()``.
      like: the state of such a model, whose structure and shapes the result has.
      models: their number, where several were trained together.
      model: which of them.

    Raises:
      ValueError: no such checkpoint, a damaged one, or one of another model.
    """
    import orbax.checkpoint as ocp  # takes seconds to import

    name = f"checkpoint {step} in {checkpoints.folder}"
    if step not in checkpoints.steps():
        kept = ", ".join(map(str, checkpoints.steps())) or "none"
        raise ValueError(f"there is no {name}; those kept are {kept}")
    axes = () if models is None else (models,)
    shapes = {
        each: jax.ShapeDtypeStruct((*axes, *x.shape), x.dtype, sharding=_here())
        for each, x in saved_arrays({"model": like})
    }
    file = checkpoints.folder / str(step) / "state"
    try:
        checkpoints.require_whole(step)
        saved = ocp.PyTreeCheckpointHandler().metadata(file).tree
    # Orbax and its storage raise a dozen kinds.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(f"{name} cannot be read ({reason:.200})") from error
    for each, wanted in shapes.items():
        found = tuple(saved[each].shape) if each in saved else "none"
        if found != wanted.shape:
            raise ValueError(
                f"{name} is of another model: {each} must have shape {wanted.shape}, found {found}"
            )
    restore = ocp.args.PyTreeRestore(
        item=shapes,
        restore_args=ocp.checkpoint_utils.construct_restore_args(shapes),
        partial_restore=True,
    )
    with ocp.PyTreeCheckpointer() as reader:
        arrays = reader.restore(file, args=restore)
    if models is not None:
        arrays = {each: x[model] for each, x in arrays.items()}
    return as_state(arrays, {"model": like})["model"]


def _here() -> jax.sharding.Sharding:
    """A device of this process, wherever the model was trained."""
    return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
