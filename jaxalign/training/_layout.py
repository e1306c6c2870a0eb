"""Where the arrays of a run lie: on one device, with rows split over a mesh, or with models split
over it.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.mesh import one_axis, put
from jaxalign.monitoring import BatchMonitor
from jaxalign.training._chunk import Data, TrainState


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
        return (
            None
            if self.mesh is None or self.models is not None
            else NamedSharding(self.mesh, P(*self.mesh.axis_names))
        )

    @property
    def axes(self) -> tuple[P, P, P] | None:
        """How state, indices and hyperparameters of several models are split, or None where they
        are not.
        """
        if self.mesh is None or self.models is None:
            return None
        axis = P(*self.mesh.axis_names)
        return axis, P() if self.same_batches else axis, axis

    @property
    def first_process(self) -> bool:
        """Whether this process is the one that speaks for the run."""
        return self.mesh is None or self.mesh.devices.flat[0].process_index == jax.process_index()

    def place(
        self, state: TrainState, hyperparameters: Any, data: Data
    ) -> tuple[TrainState, Any, Data]:
        """All arrays where the run wants them."""
        if self.mesh is None:
            return state, hyperparameters, data
        everywhere = NamedSharding(self.mesh, P())
        split = (
            everywhere
            if self.models is None
            else NamedSharding(self.mesh, P(*self.mesh.axis_names))
        )
        monitor, rest = data.monitor, data._replace(monitor=None)
        if self.models is not None or monitor is None:
            monitor = put(monitor, everywhere)
        elif isinstance(monitor, BatchMonitor):
            monitor = put(
                replace(monitor, reading=replace(monitor.reading, mesh=self.mesh)), everywhere
            )
        else:
            monitor = monitor.over(self.mesh)
        rest = put(rest, everywhere)
        return *put((state, hyperparameters), split), rest._replace(monitor=monitor)

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
      ValueError: a mesh of more axes than one, or of a number of devices that does not divide the
        models, or, of a single one, its batches.
    """
    if mesh is None:
        return Layout(None, models, same_batches)
    mesh, name, count = (
        one_axis(mesh),
        "batch_size" if models is None else "the number of models",
        models or batch_size,
    )
    if count % mesh.size:
        more = -(-count // mesh.size) * mesh.size
        fewer = f"{more - mesh.size} or " if more > mesh.size else ""
        raise ValueError(
            f"{name} must be a multiple of the mesh's {mesh.size} devices, found {count}; take {fewer}{more}, or fewer devices"
        )
    return Layout(mesh, models, same_batches)
