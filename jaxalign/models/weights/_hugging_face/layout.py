"""How a kind of model lies in a folder: what each file of this module's neighbours describes."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
from flax import nnx

from jaxalign.models.weights._hugging_face.config import Config


class Task(NamedTuple):
    """What an architecture has beyond the encoder.

    Attributes:
      classifies: whether the model here has its last layer, of a unit per class.
      left_out: beginnings of the names of tensors that the model here has no layer for.
    """

    classifies: bool = False
    left_out: tuple[str, ...] = ()


class Family(NamedTuple):
    """The models of one ``model_type``.

    Attributes:
      prefix: of the encoder's names where a head is saved with it.
      tasks: architecture → Task, the one without a head first.
      build: of (config, task, has_pooler): the model.
      sources: from the name of a tensor of that model to the names of those in the file, without
        the prefix, that it is made of: none for zeros, several for their concatenation.
      heads: beginnings of names that never have the prefix.
      example: the shape and dtype of one input.
      other_names: (regex, replacement) from other names that files have.
    """

    prefix: str
    tasks: Mapping[str, Task]
    build: Callable[[Config, Task, bool], nnx.Module]
    sources: Callable[[Config, str], tuple[str, ...]]
    heads: tuple[str, ...]
    example: Callable[[Config], jax.ShapeDtypeStruct]
    other_names: Sequence[tuple[str, str]] = ()


def class_names(config: Config) -> tuple[str, ...] | None:
    """The names of the outputs, in their order, or None where the config has none.

    Raises:
      ValueError: names of other positions than 0, 1, 2, ...
    """
    names = config.values.get("id2label")
    if names is None:
        return None
    positions = [str(i) for i in range(len(names))] if isinstance(names, dict) else []
    if not positions or sorted(names) != sorted(positions):
        raise config.wrong("id2label", "a name for each of the outputs 0, 1, 2, ...")
    return tuple(str(names[position]) for position in positions)


def num_classes(config: Config) -> int:
    """The number of outputs; transformers saves neither names nor number where they are two."""
    names = class_names(config)
    return config.integer("num_labels", 2) if names is None else len(names)
