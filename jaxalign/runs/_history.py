"""What a training run logged: one row per step, row t about the parameters after t updates."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxalign._features import INPUT

Logged = OrderedDict[str, np.ndarray]
"""{measure: (r, ...)} of one layer."""


IN_SHARES = ("area", "alignment", "curve", "null_area", "null_curve")
"""Measures of the package that are at most ‖y‖² times a threshold, and shown over ‖y‖²."""


class History(NamedTuple):
    """Arrays over steps. ``step[0]`` is 0: the untrained network.

    Of several models trained at once, loss, metrics and measures have an axis of models after that
    of the steps. Of several monitors, layers are named "MONITOR/LAYER".

    Attributes:
      step: (t,) how many updates the parameters had seen.
      measured: (r,) the steps whose parameters were measured: all, or every k-th.
      loss: (t,) on the batch of the next update, before it.
      metrics: {name: (t,)}, on that batch too.
      layers: {layer: {measure: (r, ...)}}; "input" first, then in the order in which they run.
      coordinates: {layer: {measure: {axis: its values}}}, of measures that name their axes.
      totals: {layer: ‖y‖²} of the targets it was measured with (mean over columns): what A(τ) can
        reach.
      array_steps: (a,) the steps whose arrays were kept, where a ``RunWriter`` keeps fewer of them
        than of the numbers: then an array is (a, ...). None where all were.
    """

    step: np.ndarray
    measured: np.ndarray
    loss: np.ndarray
    metrics: dict[str, np.ndarray]
    layers: OrderedDict[str, Logged]
    coordinates: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
    totals: Mapping[str, float]
    array_steps: np.ndarray | None = None

    @property
    def models(self) -> int | None:
        """How many models were trained at once; None for one, whose arrays have no such axis."""
        return self.loss.shape[1] if self.loss.ndim == 2 else None

    def steps_of(self, layer: str, measure: str) -> np.ndarray:
        """(r,) the step of each row of a measure: ``measured``, or of an array ``array_steps``."""
        is_number = self.layers[layer][measure].ndim == self.loss.ndim
        if is_number or self.array_steps is None:
            return self.measured
        return self.array_steps

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> "History":
        """The history with loss, every metric and every measure changed: what has an axis of
        models.
        """
        loss, metrics, layers = jax.tree.map(change, (self.loss, self.metrics, self.layers))
        return self._replace(loss=loss, metrics=metrics, layers=layers)

    def of(self, model: int | Sequence[int]) -> "History":
        """The history of one of several models, or of some of them.

        Raises:
          ValueError: a history of one model; a model that is not among them.

        Example:
          >>> from collections import OrderedDict
          >>> import numpy as np
          >>> import jaxalign as ja
          >>> steps = np.arange(3)
          >>> none = np.empty(0)
          >>> both = ja.History(steps, none, np.ones((3, 2)), {}, OrderedDict(), {}, {})
          >>> both.models, both.of(1).loss.shape, both.of([0]).loss.shape
          (2, (3,), (3, 1))
        """
        if self.models is None:
            raise ValueError("this is the history of one model, which has no models to choose from")
        index = model if isinstance(model, slice) else np.asarray(model)
        try:
            chosen = np.arange(self.models)[index]
        except IndexError:
            chosen = None
        # numpy takes True, and lists in lists, for further axes.
        if chosen is None or chosen.ndim > 1 or isinstance(model, bool | np.bool_):
            raise ValueError(
                f"model must be from 0 to {self.models - 1}, or several of these, "
                f"found {model!r:.60}"
            )
        return self.map(lambda x: x[:, index])

    def __rich__(self) -> Any:
        """Every number of every layer, first and last, where ``rich`` prints the history."""
        from jaxalign.runs._shown import as_table

        return as_table(self)

    def to_xarray(self) -> Any:
        """The history as an ``xarray.Dataset``: a variable for the loss, for each metric and for
        each measure.

        A measure has the dimensions "step", "layer", "model" (of several models) and its own, with
        their coordinates. "layer" is always all layers: a measure that some of them lack is NaN
        there, and a float then. What was measured of the model's outputs
        (``monitoring.of_outputs``) has no layer, and in its place the dimension "output". Where the
        layers of a measure differ in shape, each is a variable, "MEASURE.LAYER". "total" is ‖y‖² of
        each layer.

        Where dimensions of one name differ, the longest keeps the name. Steps are then called
        "measured" and "array_steps", as the attributes; others have the name of their variable with
        them: "tau" of "curve", with its finer grid, and "tau_alignment".

        What ``read_history`` mapped from files stays there until it is used. Measures that are in
        memory, or that some layers lack, are copied.

        Returns:
          xarray.Dataset: in memory, or on the files.

        Raises:
          ModuleNotFoundError: xarray is not installed.

        Example:
          >>> import numpy as np
          >>> import jaxalign as ja
          >>> steps = np.arange(3)
          >>> layers = {"hidden": {"area": np.array([1.0, 3.0, 4.0])}}
          >>> history = ja.History(steps, steps, np.ones(3), {}, layers, {}, {"hidden": 100.0})
          >>> history.to_xarray()["area"].sel(layer="hidden", step=2).item()
          4.0

        Source: ours, on xarray.
        """
        from jaxalign.runs._tables import as_xarray

        return as_xarray(self)

    def to_frame(
        self, measure: str | None = None, *, backend: Literal["pandas", "polars"] = "pandas"
    ) -> Any:
        """The numbers of the history as a data frame, or one measure with its axes.

        By default a row per step, layer and model, with the columns "step", "layer", "model" (of
        several models), loss, metrics and every measure that is a number. A step at which no layer
        was measured has one row, without a layer. Arrays are long, so they come one at a time and
        by name: a row per step, layer, model and place on the measure's axes.

        What is not measured in a row is missing there. An axis that a measure has the name of gets
        an underscore: "layer_".

        Args:
          measure: which one, or None for the numbers. ``read_history(folder, steps=...)`` reads
            fewer steps of a long run.
          backend: whose frame.

        Returns:
          A pandas.DataFrame or polars.DataFrame, in memory.

        Raises:
          ValueError: no layer has the measure; another backend.
          TypeError: a measure that is not a name.
          ModuleNotFoundError: narwhals, or the backend, is not installed.

        Example:
          >>> import numpy as np
          >>> import jaxalign as ja
          >>> steps = np.arange(3)
          >>> layers = {"hidden": {"area": np.array([1.0, 3.0, 4.0])}}
          >>> history = ja.History(steps, steps, np.ones(3), {}, layers, {}, {"hidden": 100.0})
          >>> history.to_frame()
             step   layer  loss  area
          0     0  hidden   1.0   1.0
          1     1  hidden   1.0   3.0
          2     2  hidden   1.0   4.0

        Source: ours, on narwhals.
        """
        from jaxalign.runs._tables import as_frame

        return as_frame(self, measure, backend)


def is_input(layer: str) -> bool:
    """Whether a layer of a history is the inputs themselves, of whichever monitor.

    Args:
      layer: its name in a history, "input" or "MONITOR/input".

    Returns:
      True or False.

    Example:
      >>> from jaxalign.runs import is_input
      >>> is_input("train/input"), is_input("hidden_1")
      (True, False)

    Source: ours.
    """
    return layer == INPUT or layer.endswith(f"/{INPUT}")


def concatenate(parts: Sequence[History]) -> History:
    """One history of consecutive parts of a run."""
    first = parts[0]

    def joined(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays)

    return first._replace(
        step=joined(*(part.step for part in parts)),
        measured=joined(*(part.measured for part in parts)),
        loss=joined(*(part.loss for part in parts)),
        metrics=jax.tree.map(joined, *(part.metrics for part in parts)),
        layers=jax.tree.map(joined, *(part.layers for part in parts)),
    )
