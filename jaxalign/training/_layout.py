"""Where the arrays of a run lie: on one device, with rows split over a mesh, or with models split
over it.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.mesh import one_axis, put
from jaxalign.training._samples import Take, split_rows, take, take_common, take_own
from jaxalign.training._state import Data, PerModel, TrainState


class Layout(NamedTuple):
    """How a run lies on its devices.

    Attributes:
      mesh: of one axis, or None.
      models: how many are trained at once, each of their arrays with a leading axis, or None for a
        single one.
      same_batches: whether all models see the same batches.
    """

    mesh: Mesh | None
    models: int | None
    same_batches: bool

    @property
    def rows(self) -> NamedSharding | None:
        """How the rows of a batch are split, or None where they are not."""
        if self.mesh is None or self.models is not None:
            return None
        return NamedSharding(self.mesh, P(*self.mesh.axis_names))

    @property
    def axes(self) -> tuple[P, P, P] | None:
        """How state, indices and what each of several models has of its own are split, or None
        where they are not.
        """
        if self.mesh is None or self.models is None:
            return None
        axis = P(*self.mesh.axis_names)
        return axis, P() if self.same_batches else axis, axis

    @property
    def take(self) -> Take:
        """How a batch comes of the samples, in the program of a chunk."""
        if self.mesh is None:
            return take
        axes = self.mesh.axis_names
        if self.rows is None and self.same_batches:
            return partial(take_common, axes=axes)
        own = partial(take_own, axis=axes[0])
        if self.rows is None:
            return own
        split = P(axes)
        return jax.shard_map(
            own, mesh=self.mesh, in_specs=(split, split), out_specs=split, check_vma=False
        )

    @property
    def is_first_process(self) -> bool:
        """Whether this process is the one that writes and calls back."""
        if self.mesh is None:
            return True
        return self.mesh.devices.flat[0].process_index == jax.process_index()

    @property
    def spans_processes(self) -> bool:
        """Whether other processes train the same run."""
        return self.mesh is not None and len({d.process_index for d in self.mesh.devices.flat}) > 1

    def place(
        self, state: TrainState, per_model: PerModel, data: Data
    ) -> tuple[TrainState, PerModel, Data]:
        """All arrays where the run wants them."""
        if self.mesh is None:
            samples = jax.tree.map(jnp.asarray, (data.inputs, data.labels))
            return state, per_model, data._replace(inputs=samples[0], labels=samples[1])
        everywhere = NamedSharding(self.mesh, P())
        split = NamedSharding(self.mesh, P(*self.mesh.axis_names))
        inputs, labels = split_rows((data.inputs, data.labels), self.mesh)
        rest = Data({}, inputs, labels, put(data.steps, everywhere))
        if self.models is not None:
            monitors = put(dict(data.monitors), everywhere)
            return *put((state, per_model), split), rest._replace(monitors=monitors)
        monitors = {name: m.over(self.mesh) for name, m in data.monitors.items()}
        own = PerModel(put(per_model.hyperparameters, everywhere), put(per_model.references, split))
        return put(state, everywhere), own, rest._replace(monitors=monitors)

    def whole(self, state: TrainState) -> TrainState:
        """The state, all of it in every process."""
        if self.mesh is None or self.models is None:
            return state
        return _gathered(state, NamedSharding(self.mesh, P()))


@partial(jax.jit, static_argnums=(1,))
def _gathered(state: TrainState, everywhere: NamedSharding) -> TrainState:
    return jax.lax.with_sharding_constraint(state, everywhere)


def layout(mesh: Mesh | None, models: int | None, same_batches: bool, batch_size: int) -> Layout:
    """The Layout on a mesh, checked.

    Raises:
      ValueError: a mesh of several axes, or whose number of devices does not divide the models, or,
        of a single one, its batches.
    """
    if mesh is None:
        return Layout(None, models, same_batches)
    mesh = one_axis(mesh)
    name = "batch_size" if models is None else "the number of models"
    count = models or batch_size
    if count % mesh.size:
        above = -(-count // mesh.size) * mesh.size
        below = above - mesh.size
        choices = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"{name} must be a multiple of the mesh's {mesh.size} devices, found {count}; "
            f"take {choices}, or fewer devices"
        )
    return Layout(mesh, models, same_batches)
