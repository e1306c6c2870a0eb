"""A model and the data to measure or train it on, each tried on the other's shape."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxalign.capture import Tap, tap
from jaxalign.cli.checks import require_defaults
from jaxalign.cli.choices import Part
from jaxalign.cli.subject.data import load_examples
from jaxalign.cli.subject.examples import Examples
from jaxalign.cli.subject.images import of_one_size
from jaxalign.cli.subject.loaded import Loaded
from jaxalign.cli.subject.model import adapted, brings_preparation, load_model
from jaxalign.cli.subject.options import SubjectOptions
from jaxalign.models.weights import is_orbax
from jaxalign.models.weights._paths import located


@dataclass(frozen=True)
class Subject:
    """A model and its data.

    Attributes:
      examples: the rows.
      loaded: the model.
      convert: from rows to inputs of the model.
      tap: its layers.
      shape: of one row, which a shipped architecture is built for.
    """

    examples: Examples
    loaded: Loaded
    convert: Callable[[Any], np.ndarray]
    tap: Tap
    shape: tuple[int, ...]

    @property
    def input_shape(self) -> jax.ShapeDtypeStruct:
        """Of two inputs as the model takes them."""
        inputs = self.convert(self.examples.rows(0, 2))
        return jax.ShapeDtypeStruct(inputs.shape, inputs.dtype)


def load_subject(
    options: SubjectOptions,
    part: Part = "train",
    *,
    examples: Examples | None = None,
    shapes_only: bool = False,
) -> Subject:
    """Read the data, unless examples are given; load the model, or its shapes; and try the one on
    the other's shape.

    Raises:
      FileNotFoundError: data, checkpoint or module that are not there.
      ValueError: what is there is not what it should be; inputs the model does not take; layers it
        does not have.
    """
    if options.checkpoint is not None and not is_orbax(options.checkpoint):
        # Before the data are read and the model is built.
        located(options.checkpoint)
    if examples is None:
        examples = load_examples(options, part)
    rows = examples.rows(0, 2)
    _require_used(options, rows)
    if isinstance(rows, list) and not brings_preparation(options.model):
        # Raises for images of several sizes before a model is built for one of them.
        of_one_size(rows, options.size)
    shape = _shape(rows[0], options.size)
    loaded = load_model(options, shape, examples.targets.shape[1], shapes_only=shapes_only)
    if not shapes_only:
        _require_tokens(loaded, examples)
    convert = adapted(loaded, rows, options.scaling or "signed", options.size)
    # The layers that a model names are those whose output is a post-activation.
    usual = loaded.layers if options.at == "output" else ("*",)
    layers = tap(loaded.model, options.layers or usual, at=options.at)
    return Subject(examples, loaded, convert, layers, shape)


def _require_tokens(loaded: Loaded, examples: Examples) -> None:
    """Raise if a text is nothing but padding."""
    inputs = examples.inputs
    if loaded.padding is None or not isinstance(inputs, np.ndarray) or inputs.ndim != 2:
        return
    empty = np.flatnonzero((inputs[examples.positions] == loaded.padding).all(axis=1))
    if empty.size:
        raise ValueError(
            f"row {empty[0]} of {examples.source} is nothing but padding, tokens {loaded.padding} "
            "by the pad_token_id of config.json; leave out such rows, or correct pad_token_id"
        )


def _require_used(options: SubjectOptions, rows: Any) -> None:
    """Raise if the preparation of images was chosen and model or data leave none to do."""
    if brings_preparation(options.model):
        reason = f"would change nothing: {options.model} prepares images itself"
        require_defaults(options, ["scaling", "size"], reason)
    if isinstance(rows, np.ndarray) and rows.dtype != np.uint8:
        reason = f"is for images of bytes (uint8); these inputs are {rows.dtype}"
        require_defaults(options, ["scaling"], reason)


def _shape(row: np.ndarray, size: int | None) -> tuple[int, ...]:
    """Of one input that a shipped architecture is built for."""
    if size is None or np.ndim(row) != 3:
        return np.shape(row)
    return (size, size, row.shape[2])
