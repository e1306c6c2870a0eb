"""States that a later process goes on from, by orbax: each is whole on disk, or is not there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxalign._core.mesh import is_key


class Checkpoints:
    """Where ``fit(..., checkpoints=...)`` keeps its state, and begins again when it is called a
    second time.

    A run that was killed goes on from the newest checkpoint as if it had never stopped: on the same
    device its rows are, bit for bit, those of an unbroken run. Where the folder holds none, it
    begins at step 0.

    Args:
      folder: made when needed; with ``RunWriter`` a folder inside the run's.
      every: save after so many steps, at the ends of chunks.

    Raises:
      ValueError: every under 1.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import MLP
      >>> x = np.random.default_rng(0).standard_normal((80, 6)).astype(np.float32)
      >>> labels = (x[:, 0] > 0).astype(int)
      >>> kept = ja.Checkpoints(tempfile.mkdtemp(), every=10)
      >>> settings = {"steps": 40, "chunk": 10, "checkpoints": kept}
      >>> _ = ja.fit(MLP(6, (8,), 1, rngs=nnx.Rngs(0)), optax.sgd(0.1), x, labels, **settings)
      >>> kept.steps()
      [36, 40]

    Source: ours, on orbax.
    """

    def __init__(self, folder: str | Path, *, every: int = 1000):
        if every < 1:
            raise ValueError(f"every must be at least 1, found {every}")
        self.folder, self.every = Path(folder).absolute(), every

    def save(self, step: int, state: Any, settings: Mapping[str, Any]) -> None:
        """Keep a state, and with it the settings that it can be gone on with; of older ones the
        newest stays.
        """
        if step in self.steps():
            return
        import orbax.checkpoint as ocp  # takes seconds to import

        content = {
            "state": ocp.args.StandardSave(_as_arrays(state)),
            "settings": ocp.args.JsonSave(dict(settings)),
        }
        with self._manager() as manager:
            manager.save(step, args=ocp.args.Composite(**content), force=True)

    def steps(self) -> list[int]:
        """The steps of the states that are kept, ascending."""
        return sorted(
            int(file.name)
            for file in self.folder.glob("*")
            if file.is_dir() and file.name.isdecimal()
        )

    def newest(self, like: Any, settings: Mapping[str, Any]) -> Any:
        """The newest state, in the structure of ``like``, or None if there is none.

        Raises:
          ValueError: it was saved with other settings, or from a model or an optimizer of another
            structure; it cannot be read.
        """
        import orbax.checkpoint as ocp

        if not self.steps():
            return None
        step, wanted = self.steps()[-1], _as_arrays(like)
        try:
            with self._manager() as manager:
                saved = manager.restore(
                    step, args=ocp.args.Composite(settings=ocp.args.JsonRestore())
                ).settings
                self._require_same(step, saved, settings)
                shapes = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in wanted.items()}
                found = manager.restore(
                    step, args=ocp.args.Composite(state=ocp.args.StandardRestore(shapes))
                ).state
        except ValueError as error:
            raise ValueError(f"checkpoint {step} in {self.folder} does not fit: {error}") from None
        except (OSError, KeyError, TypeError) as error:
            raise ValueError(
                f"checkpoint {step} in {self.folder} cannot be read ({type(error).__name__}); "
                "delete its folder to go on from the one before"
            ) from error
        return _as_state(found, like)

    def _require_same(
        self, step: int, saved: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        differing = [name for name in settings if saved.get(name) != settings[name]]
        if differing:
            told = ", ".join(
                f"{name} {saved.get(name)!r}, now {settings[name]!r}" for name in differing
            )
            raise ValueError(f"it was saved with {told}; use the same, or another folder")

    def _manager(self):
        import orbax.checkpoint as ocp

        self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder, options=options)


def _as_arrays(state: Any) -> dict[str, np.ndarray]:
    """Leaves by position, on the host, random keys as the numbers they are made of."""
    leaves = [jax.random.key_data(x) if is_key(x) else x for x in jax.tree.leaves(state)]
    return {f"{i:05}": np.asarray(x) for i, x in enumerate(leaves)}


def _as_state(arrays: Mapping[str, Any], like: Any) -> Any:
    leaves, tree = jax.tree.flatten(like)
    held = [jax.numpy.asarray(np.asarray(arrays[name])) for name in sorted(arrays)]
    keyed = [
        jax.random.wrap_key_data(x, impl=jax.random.key_impl(leaf)) if is_key(leaf) else x
        for x, leaf in zip(held, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, keyed)
