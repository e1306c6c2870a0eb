"""What ``fit`` is asked for, checked before anything is computed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.arrays import as_numbers, in_program
from jaxalign._core.kinds import as_count, found, require_flag, require_function, require_kind
from jaxalign._core.mesh import with_automatic_axes
from jaxalign.capture._networks import Network, is_pair, split_model
from jaxalign.capture._program import Call
from jaxalign.monitoring import BatchMonitor, Monitor
from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._layout import Layout
from jaxalign.training._objective import Objective
from jaxalign.training._optimizer import Optimizer, is_optimizer, with_extra_arguments
from jaxalign.training._parameters import difference
from jaxalign.training._state import Monitors, PerModel, Recipe, TrainState

ONE = ""
"""The name of a monitor that is passed by itself: its layers have no prefix."""


class Models(NamedTuple):
    """One model, or several that are trained as one program.

    Attributes:
      network: what all of them compute, without their arrays.
      states: the arrays of each.
      several: whether their arrays get an axis of models.
      seeds: of the order of samples, one for all or one each.
      hyperparameters: of their optimizers, with a leading axis of models; or None.
    """

    network: Network
    states: list[Any]
    several: bool
    seeds: list[int]
    hyperparameters: Any

    @property
    def number(self) -> int | None:
        """How many, or None for one by itself."""
        return len(self.states) if self.several else None

    @property
    def same_batches(self) -> bool:
        """Whether all see the same batches."""
        return len(self.seeds) == 1

    @property
    def settings(self) -> dict[str, Any]:
        """What a checkpoint has to agree in."""
        seed = self.seeds[0] if self.same_batches else self.seeds
        return {"seed": seed, "models": self.number}

    def recipe(self, optimizer: Optimizer, objective: Objective) -> Recipe:
        """What is trained and how."""
        return Recipe(self.network, optimizer, objective)

    def placed(self, place: Layout) -> "Models":
        """The same with arrays of automatic axes, which can be put on the mesh."""
        for state in self.states:
            place.require_place(state)
        return self._replace(
            states=[jax.tree.map(with_automatic_axes, state) for state in self.states],
            hyperparameters=place.place_hyperparameters(self.hyperparameters),
        )

    def start(self, recipe: Recipe, place: Layout) -> TrainState:
        """The state before the first update, in arrays of its own.

        The chunks donate their state, the user's models keep their arrays, and an optimizer may
        keep the parameters themselves.
        """

        def begin(states: list[Any], hyperparameters: Any) -> TrainState:
            starts = [
                recipe.start(state, _entry(hyperparameters, i)) for i, state in enumerate(states)
            ]
            if self.several:
                return jax.tree.map(lambda *x: jnp.stack(x), *starts)
            return jax.tree.map(jnp.copy, starts[0])

        if place.mesh is None:
            return begin(self.states, self.hyperparameters)
        # Each array is made where it belongs: all of them may be more than one device holds.
        states = [place.place_model(state) for state in self.states]
        of_one = jax.eval_shape(recipe.start, states[0], _entry(self.hyperparameters, 0))
        shardings = place.shardings(of_one, states[0], self.network)
        return jax.jit(begin, out_shardings=shardings)(states, self.hyperparameters)

    def per_model(self, monitors: Monitors, start: TrainState, place: Layout) -> PerModel:
        """The hyperparameters, and the features at step 0 where a monitor compares with them.

        Args:
          monitors: placed.
          start: the state at step 0.
          place: where the run is.
        """
        comparing = {
            name: m
            for name, m in monitors.items()
            if isinstance(m, Monitor) and m.measurement.needs_start
        }

        def references(variables: Any, monitors: Mapping[str, Monitor]) -> Any:
            return {name: m.starting_from(variables).references for name, m in monitors.items()}

        def placed(*arguments: Any) -> Any:
            each = jax.vmap(references, in_axes=(0, None)) if self.several else references
            features = each(*arguments)
            if place.split is None:
                return features
            return jax.lax.with_sharding_constraint(features, place.split)

        features = jax.jit(placed)(start.model, comparing) if comparing else {}
        return PerModel(self.hyperparameters, features, self._key_seeds)

    @property
    def _key_seeds(self) -> np.ndarray:
        """The seed of each model's random keys; of one seed for all, the numbers from there on."""
        seeds = self.seeds
        if self.several and self.same_batches:
            seeds = [self.seeds[0] + i for i in range(len(self.states))]
        numbers = np.array([seed % 2**32 for seed in seeds], np.uint32)
        return numbers if self.several else numbers[0]


def _entry(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x)[i], tree)


def checked_models(
    model: Any,
    call: Call | None,
    optimizer: Optimizer,
    seed: int | Sequence[int],
    hyperparameters: Any,
) -> Models:
    """The Models that ``fit`` is given.

    Raises:
      ValueError: none; of different structures; seeds or hyperparameters of another number;
        hyperparameters without an optimizer that is a function of them, or outside their dtype in
        a program.
      TypeError: no modules; seeds that are not whole numbers; hyperparameters that are no numbers,
        or of which the function makes no optimizer; as the function.
    """
    if call is not None:
        require_function(call, "call", "pass a function of (model, batch)")
    several = isinstance(model, list | tuple) and not is_pair(model)
    modules: Sequence[Any] = model if several else [model]
    if not modules:
        raise ValueError("model must be a module or a list of at least one, found an empty list")
    split = [split_model(module, call) for module in modules]
    network = split[0].network
    states = [state for _, state in split]
    for i, (other, state) in enumerate(split[1:], start=1):
        differing = difference(states[0], state)
        if other != network or differing:
            raise ValueError(
                f"models must differ in the values of their arrays alone, but model {i} is built "
                f"otherwise than model 0{differing}; build all by one function (of a subclassed "
                "Keras model get_config has to tell how)"
            )
    seeds = _checked_seeds(seed)
    if len(seeds) not in (1, len(modules)):
        raise ValueError(
            f"seed must be one number, or one for each of the {len(modules)} models, "
            f"found {len(seeds)}"
        )
    own = _checked_hyperparameters(optimizer, hyperparameters, len(modules) if several else None)
    return Models(network, states, several, seeds, own)


def _checked_seeds(seed: int | Sequence[int]) -> list[int]:
    is_list = isinstance(seed, list | tuple | range) or getattr(seed, "ndim", 0) == 1
    each: Any = seed if is_list else [seed]
    return [as_count(one, "seed", least=0) for one in each]


def _checked_hyperparameters(optimizer: Optimizer, hyperparameters: Any, models: int | None) -> Any:
    """The hyperparameters in the dtypes that they have in a program."""
    if is_optimizer(optimizer) and hyperparameters is not None:
        raise ValueError(
            "hyperparameters need an optimizer that is a function of them, "
            "as in optimizer=lambda rate: optax.sgd(rate)"
        )
    if hyperparameters is None and not is_optimizer(optimizer):
        raise ValueError(
            f"optimizer must have init and update, found {found(optimizer)}; call what makes one, "
            "as optax.adam(1e-3), or pass hyperparameters for it"
        )
    if hyperparameters is None:
        return None
    require_function(optimizer, "optimizer", "pass a function of hyperparameters that makes one")
    shapes = [np.shape(x) for x in jax.tree.leaves(hyperparameters)]
    if models is None or {shape[:1] for shape in shapes} != {(models,)}:
        raise ValueError(
            "hyperparameters must be arrays of a leading axis of as many as the list of models, "
            f"found {', '.join(map(str, shapes))}"
        )
    own = jax.tree.map(_hyperparameter, hyperparameters)
    for i in range(models):
        # Of values, not traced: what a function can refuse of them, it refuses here.
        with_extra_arguments(optimizer(_entry(own, i)))
    return own


def _hyperparameter(x: Any) -> Array | np.ndarray:
    # Arrays of jax have the dtype of a program, and may be random keys.
    if isinstance(x, Array):
        return x
    name = "hyperparameters"
    return in_program(as_numbers(x, name), name)


def require_parts(objective: Any, callback: Any, checkpoints: Any, *, keep_history: bool) -> None:
    """Raise for a part of a run that is of another kind, or rows that nobody takes."""
    require_function(objective, "objective", "pass a function of (outputs, labels)")
    if callback is not None:
        require_function(callback, "callback", "pass a function of a History, as writer.write")
    if checkpoints is not None:
        require_kind(checkpoints, Checkpoints, "checkpoints", "pass Checkpoints(folder)")
    require_flag(keep_history, "keep_history")
    if callback is None and not keep_history:
        raise ValueError(
            "keep_history=False needs a callback that takes the rows, as RunWriter(...).write, "
            "found none"
        )


def checked_monitors(
    monitor: Monitor | BatchMonitor | Mapping[str, Monitor | BatchMonitor] | None, batch_size: int
) -> dict[str, Monitor | BatchMonitor]:
    """The monitors by name; one by itself has the name "".

    Raises:
      ValueError: two monitors of the training batch, or one of another batch size; a name that is
        empty or holds "/".
      TypeError: something that is not a monitor, or a name that is not a string.
    """
    if monitor is None:
        return {}
    monitors = dict(monitor) if isinstance(monitor, Mapping) else {ONE: monitor}
    for name, one in monitors.items():
        if not isinstance(one, Monitor | BatchMonitor):
            raise TypeError(
                "monitor must be made by monitor(...) or batch_monitor(...), or be a dict of "
                f"these, found a {type(one).__name__}"
            )
        if not isinstance(name, str):
            raise TypeError(f"names of monitors must be strings, found {name!r}")
        if isinstance(monitor, Mapping) and (not name or "/" in name):
            raise ValueError(
                f"names of monitors must not be empty or hold '/', found {name!r}; "
                "layers are logged as NAME/LAYER"
            )
    of_batch = [one for one in monitors.values() if isinstance(one, BatchMonitor)]
    if len(of_batch) > 1:
        raise ValueError(
            f"monitor must hold one batch_monitor at most, found {len(of_batch)}; "
            "tap all layers in one"
        )
    for one in of_batch:
        if one.num_samples != batch_size:
            raise ValueError(
                f"batch_size must be the monitor's {one.num_samples} samples, found {batch_size}"
            )
    return monitors
