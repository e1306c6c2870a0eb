"""Where the arrays of a run lie: on one device, with rows split over an axis of a mesh and the
model as its user split it, or with several models split over that axis. The axis may be several.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.kinds import require_kind
from jaxalign._core.mesh import Axes, Split, automatic, axis_names, put, split_over
from jaxalign.capture._networks import Network
from jaxalign.training._processes import ALONE, Processes, processes_of
from jaxalign.training._samples import Take, split_rows, take, take_common, take_own
from jaxalign.training._sharding import (
    axes_of,
    mesh_of_arrays,
    shardings_of_model,
    shardings_of_optimizer,
)
from jaxalign.training._source import Block
from jaxalign.training._state import Data, TrainState

DATA_AXIS = "data"
"""The axis of a mesh that rows, or several models, go over, unless another is named."""


class Layout(NamedTuple):
    """How a run lies on its devices.

    Attributes:
      mesh: of automatic axes, or None.
      axes: over which rows or models are split; empty where they are not.
      models: how many are trained at once, each of their arrays with a leading axis, or None for a
        single one.
      same_batches: whether all models see the same batches.
      given: the mesh with its axes of the kinds that the user gave them.
      in_use: the mesh in use where ``fit`` was called; empty if there was none.
    """

    mesh: Mesh | None
    axes: tuple[str, ...]
    models: int | None
    same_batches: bool
    given: Mesh | None
    in_use: Mesh

    def active(self) -> AbstractContextManager[Any]:
        """The mesh is the one in use: models name its axes."""
        return nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def outside(self) -> AbstractContextManager[Any]:
        """The mesh in use is the user's again: their callback is called."""
        return nullcontext() if self.mesh is None else jax.set_mesh(self.in_use)

    @property
    def rows(self) -> NamedSharding | None:
        """How the rows of a batch are split, or None where they are not."""
        return self.split if self.models is None else None

    @property
    def is_first_process(self) -> bool:
        """Whether this process is the one that writes and calls back."""
        if self.mesh is None:
            return True
        return self.mesh.devices.flat[0].process_index == jax.process_index()

    @property
    def processes(self) -> Processes:
        """Those that train the run."""
        return ALONE if self.mesh is None else processes_of(self.mesh, self.axes)

    @property
    def settings(self) -> dict[str, Any]:
        """What has to be the same in all processes."""
        devices = [] if self.mesh is None else [device.id for device in self.mesh.devices.flat]
        return {"mesh": (devices, self.mesh and self.mesh.shape), "data_axis": self.axes}

    def require_divides(self, batch_size: int, parts: int) -> None:
        """Raise if the devices do not divide what is split over them: the models, or the batch.

        Args:
          batch_size: rows of a batch.
          parts: from so many processes.
        """
        if self.models is not None:
            self._require_multiple(self.models, "the number of models")
        if self.models is None or parts > 1:
            self._require_multiple(batch_size, "batch_size")

    def _require_multiple(self, count: int, name: str) -> None:
        if self.mesh is None or not self.axes:
            return
        devices = Split(self.mesh, self.axes).devices
        if count % devices == 0:
            return
        along = "" if len(self.mesh.axis_names) == 1 else f" along {_named(self.axes)}"
        above = -(-count // devices) * devices
        below = above - devices
        choices = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"{name} must be a multiple of the mesh's {devices} devices{along}, found {count}; "
            f"take {choices}, or fewer devices"
        )

    def require_place(self, variables: Any) -> None:
        """Raise for an array of a model that cannot be put on the mesh as it is split."""
        if self.mesh is not None:
            shardings_of_model(variables, self.mesh)

    def place_model(self, variables: Any) -> Any:
        """The arrays of one model on the mesh, split as they came."""
        if self.mesh is None:
            return variables
        return jax.tree.map(put, variables, shardings_of_model(variables, self.mesh))

    def shardings(self, of_one: TrainState, variables: Any, network: Network) -> TrainState:
        """The sharding of each array of the state on the mesh.

        Args:
          of_one: the shapes of the state of one model.
          variables: of the model, placed.
          network: of the model.
        """
        assert self.mesh is not None
        of_model = jax.tree.map(lambda x: x.sharding, variables)
        of_optimizer = shardings_of_optimizer(
            of_one.optimizer,
            network.split(of_one.model)[0],
            network.split(of_model)[0],
            self.mesh,
        )
        everywhere: Any = NamedSharding(self.mesh, P())
        shardings = TrainState(everywhere, of_model, of_optimizer)
        if self.models is None:
            return shardings
        return jax.tree.map(self._with_models, shardings)

    def shardings_of(self, state: TrainState) -> TrainState | None:
        """How each array of a state lies on the mesh; None on one device."""
        if self.mesh is None:
            return None
        return jax.tree.map(lambda x: x.sharding, state)

    def _with_models(self, sharding: NamedSharding) -> NamedSharding:
        """The sharding with the axis of models before the others."""
        is_taken = any(axis in axes_of(sharding.spec) for axis in self.axes)
        if is_taken or sharding.mesh != self.mesh:
            raise ValueError(
                "arrays of several models must not be split over the mesh's axis "
                f"{_named(self.axes)}, "
                f"over which the models are, found {sharding.spec}; split them over another axis "
                "of that mesh, or pass data_axis=None"
            )
        return NamedSharding(sharding.mesh, P(self.axes, *sharding.spec))

    def place(self, data: Data) -> Data:
        """The data where the run wants them."""
        if self.mesh is None:
            inputs, labels = jax.tree.map(jnp.asarray, (data.inputs, data.labels))
            return data._replace(inputs=inputs, labels=labels)
        everywhere = NamedSharding(self.mesh, P())
        samples = NamedSharding(self.mesh, P(self._all_axes))
        inputs, labels = split_rows((data.inputs, data.labels), samples)
        if self.models is None and self.axes:
            monitors = {name: m.over(self.mesh, self.axes) for name, m in data.monitors.items()}
        else:
            monitors = put(dict(data.monitors), everywhere)
        return Data(monitors, inputs, labels, put(data.steps, everywhere))

    def place_block(self, block: Block, batch_size: int) -> Block:
        """The batches of a stream where the run wants them; row numbers go with the program.

        Args:
          block: what this process read: whole batches, or its part of them.
          batch_size: rows of a whole one.
        """
        if isinstance(block.samples, np.ndarray):
            return block
        if self.mesh is None:
            return block._replace(samples=jax.device_put(block.samples))
        is_whole = block.samples[0].shape[2] == batch_size
        # Several models see all rows: their program brings those of other processes.
        spec = P() if self.models is not None and is_whole else P(None, None, self.axes)
        sharding = NamedSharding(self.mesh, spec)

        def placed(x: np.ndarray) -> Array:
            shape = (*x.shape[:2], batch_size, *x.shape[3:])
            return jax.make_array_from_process_local_data(sharding, x, shape)

        return block._replace(samples=jax.tree.map(placed, block.samples))

    @property
    def take(self) -> Take:
        """How a batch comes of the samples, in the program of a chunk."""
        if self.mesh is None:
            return take
        if self.models is not None and self.axes:
            # The program runs on each device of the axes by itself.
            each = take_common if self.same_batches else take_own
            return partial(each, axes=self.axes)
        axes = self._all_axes
        own: Take = partial(take_common, axes=axes)
        if self.axes:
            own = partial(take_own, axes=self.axes, others=axes[len(self.axes) :])
        batch = P(self.axes)
        return jax.shard_map(
            own, mesh=self.mesh, in_specs=(P(axes), batch), out_specs=batch, check_vma=False
        )

    @property
    def _all_axes(self) -> tuple[str, ...]:
        """The axes of the mesh, which samples in memory are split over; the data axes first."""
        assert self.mesh is not None
        others = [name for name in self.mesh.axis_names if name not in self.axes]
        return (*self.axes, *others)

    @property
    def split(self) -> NamedSharding | None:
        """How what has a leading axis of models is split, or else of rows; None on one device."""
        return None if self.mesh is None else NamedSharding(self.mesh, P(self.axes))

    def place_hyperparameters(self, hyperparameters: Any) -> Any:
        """The hyperparameters beside their models."""
        if self.split is None:
            return hyperparameters
        return put(hyperparameters, self.split)

    def as_given(self, state: TrainState) -> TrainState:
        """A state on the mesh with the kinds of axes that the user gave it."""
        given = self.given
        if given is None or given == self.mesh:
            return state

        def retyped(x: Any) -> Any:
            if x.sharding.mesh != self.mesh:
                return x
            kind = x.sharding.memory_kind
            return jax.device_put(x, NamedSharding(given, x.sharding.spec, memory_kind=kind))

        return jax.tree.map(retyped, state)


def _named(axes: tuple[str, ...]) -> str:
    return " and ".join(map(repr, axes))


def layout(
    mesh: Mesh | None,
    data_axis: Axes | None,
    variables: Any,
    models: int | None,
    same_batches: bool,
) -> Layout:
    """The Layout on a mesh: the one that is passed, else that of the model's arrays, else the one
    in use.

    Args:
      mesh: the user's, or None.
      data_axis: over which rows or models go; None leaves them whole.
      variables: of the model, or of the first of several.
      models: how many, or None for a single one.
      same_batches: whether all see the same.

    Raises:
      ValueError: a mesh without the axis.
      TypeError: no mesh, or no names.
    """
    in_use = jax.sharding.get_mesh()
    if data_axis is not None:
        axis_names(data_axis, "data_axis")
    if mesh is None:
        mesh = mesh_of_arrays(variables) or (None if in_use.empty else in_use)
    if mesh is None:
        if data_axis not in (DATA_AXIS, None):
            raise ValueError(f"data_axis={data_axis!r} needs a mesh, found none; pass mesh=")
        return Layout(None, (), models, same_batches, None, in_use)
    require_kind(mesh, Mesh, "mesh", "pass jax.make_mesh((jax.device_count(),), ('data',))")
    if data_axis is None:
        return Layout(automatic(mesh), (), models, same_batches, mesh, in_use)
    # A mesh of one axis needs no name.
    named = data_axis if data_axis != DATA_AXIS or len(mesh.axis_names) > 1 else None
    split = split_over(mesh, named, "data_axis")
    return Layout(split.mesh, split.axes, models, same_batches, mesh, in_use)
