"""What `jaxalign inspect` and `jaxalign layers` have in common: which model, on which data, which
of its layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro

from jaxalign.capture import Tap, tap
from jaxalign.cli.inspect.data import Examples, Part, Scaling, load_examples, of_one_size
from jaxalign.cli.inspect.model import Loaded, adapted, is_pretrained, load_model
from jaxalign.data._labelled import Task


@dataclass(frozen=True)
class Asked:
    """Options of both commands."""

    model: tyro.conf.Positional[str]
    """mlp, cnn, resnet18, resnet34, resnet50, vgg11, vgg11_bn, vgg16, vgg16_bn, squeezenet1_1,
    efficientnet_lite0 to 4, vit_s_16, vit_b_16; pretrained: efficientnet-lite0 to 2, squeezenet1.1;
    or your own: path/to/module.py:factory, where factory() returns a flax.nnx.Module or a pair
    (flax.linen.Module, variables)."""
    data: str = "fashion-mnist"
    """fashion-mnist (the embedded images), a folder of IDX files, an .npz of x and y, a .csv, or a
    folder with a subfolder \
of images a class."""
    checkpoint: Path | None = None
    """Weights to read into the model: safetensors, torch .pth, .npz."""
    layers: tuple[str, ...] = ()
    """Glob patterns of the layers; by default the post-activations that the model names, else all.
    `jaxalign layers MODEL` \
lists them."""
    at: Literal["output", "input"] = "output"
    """Take what layers return, or what they are given: the post-activation of the layer before."""
    label: str | None = None
    """Column of a .csv that holds the labels; by default the last."""
    task: Task = "auto"
    """What labels are; by default text and few different integers are classes, other numbers are
    regressed on.
    """
    part: Part = "train"
    """Which part of fashion-mnist or of IDX files."""
    samples: int | None = None
    """Take so many rows, classes balanced; by default all."""
    scaling: Scaling = "signed"
    """Of images of bytes: to [-1, 1], to [0, 1], or by ImageNet's means. Pretrained models bring
    their own.
    """
    size: int | None = None
    """Cut image files to their middle square and scale it to so many pixels."""
    outputs: int | None = None
    """Of a shipped architecture; by default one a target, 1000 with a checkpoint."""
    seed: int = 0
    """Of the initial weights of a shipped architecture."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, found {self.seed}; change --seed")
        for name in ("outputs", "size"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}; change --{name}")


@dataclass(frozen=True)
class Question:
    """A model and the data to ask it about, tried on shapes.

    Attributes:
      examples: the rows.
      loaded: the model.
      convert: from rows to inputs of the model.
      tap: its layers.
    """

    examples: Examples
    loaded: Loaded
    convert: Callable[[Any], np.ndarray]
    tap: Tap

    @property
    def input_shape(self) -> jax.ShapeDtypeStruct:
        """Of two inputs as the model takes them."""
        inputs = self.convert(self.examples.rows(0, 2))
        return jax.ShapeDtypeStruct(inputs.shape, inputs.dtype)


def question(
    asked: Asked, examples: Examples | None = None, *, shapes_only: bool = False
) -> Question:
    """Read the data, unless examples are given; load the model, or its shapes; and try the one on
    the other's shape.

    Raises:
      FileNotFoundError: data, checkpoint or module that are not there.
      ValueError: what is there is not what it should be; inputs the model does not take; layers it
        does not have.
    """
    examples = examples or load_examples(
        asked.data, label=asked.label, task=asked.task, part=asked.part, samples=asked.samples
    )
    rows = examples.rows(0, 2)
    if isinstance(rows, list) and not is_pretrained(asked.model):
        of_one_size(rows, asked.size)  # which the model is built for
    outputs = asked.outputs or (examples.targets.shape[1] if asked.checkpoint is None else 1000)
    loaded = load_model(
        asked.model,
        _shape(rows[0], asked.size),
        outputs,
        checkpoint=asked.checkpoint,
        seed=asked.seed,
        shapes_only=shapes_only,
    )
    convert = adapted(loaded, rows, asked.scaling, asked.size)
    layers = asked.layers or (loaded.layers if asked.at == "output" else ("*",))
    return Question(examples, loaded, convert, tap(loaded.model, layers, at=asked.at))


def _shape(row: np.ndarray, size: int | None) -> tuple[int, ...]:
    """Of one input that a shipped architecture is built for."""
    return np.shape(row) if size is None or np.ndim(row) != 3 else (size, size, row.shape[2])
