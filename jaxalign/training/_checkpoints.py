"""States from which a later process can resume, by orbax: each is whole on disk, or not there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign._core.mesh import is_key

FORMAT = "named arrays"
"""What checkpoints hold; one that says otherwise is of an older layout."""


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
        """Save a checkpoint with the settings needed to resume; keep the last two."""
        if step in self.steps():
            return
        import orbax.checkpoint as ocp  # takes seconds to import

        content = {
            "state": ocp.args.StandardSave(_as_arrays(state)),
            "settings": ocp.args.JsonSave({**settings, "format": FORMAT}),
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
        step = self.steps()[-1]
        wanted = _as_arrays(like)
        try:
            with self._manager() as manager:
                saved = manager.restore(
                    step, args=ocp.args.Composite(settings=ocp.args.JsonRestore())
                ).settings
                self._require_same(step, saved, settings)
                shapes = {
                    name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in wanted.items()
                }
                arrays = manager.restore(
                    step, args=ocp.args.Composite(state=ocp.args.StandardRestore(shapes))
                ).state
        except ValueError as error:
            raise ValueError(f"checkpoint {step} in {self.folder} does not fit: {error}") from None
        except (OSError, KeyError, TypeError) as error:
            raise ValueError(
                f"checkpoint {step} in {self.folder} cannot be read ({type(error).__name__}); "
                "delete its folder to go on from the one before"
            ) from error
        return _as_state(arrays, like)

    def _require_same(
        self, step: int, saved: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        if saved.get("format") != FORMAT:
            raise ValueError(
                "it is of an older layout, which names no arrays; begin the run again in another "
                "folder, or go on with the version that wrote it"
            )
        differing = [name for name in settings if saved.get(name) != settings[name]]
        if differing:
            pairs = [f"{name} {saved.get(name)!r}, now {settings[name]!r}" for name in differing]
            raise ValueError(
                f"it was saved with {', '.join(pairs)}; use the same, or another folder"
            )

    def _manager(self):
        import orbax.checkpoint as ocp

        self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder, options=options)


def _as_arrays(state: Any) -> dict[str, np.ndarray]:
    """Leaves by name, on the host, random keys as the numbers they are made of."""
    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        numbers = jax.random.key_data(leaf) if is_key(leaf) else leaf
        arrays[_name(path)] = np.asarray(numbers)
    return arrays


def _as_state(arrays: Mapping[str, Any], like: Any) -> Any:
    def restored(path: Any, leaf: Any) -> Any:
        array = jnp.asarray(np.asarray(arrays[_name(path)]))
        if is_key(leaf):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        return array

    return jax.tree_util.tree_map_with_path(restored, like)


def _name(path: Any) -> str:
    """As "model.hidden_1.kernel.value"."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
