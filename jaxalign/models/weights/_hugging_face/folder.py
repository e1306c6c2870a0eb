"""A model from a folder of Hugging Face's: config.json says which, and how large."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxalign._core.kinds import require_kind
from jaxalign.models.weights._assign import assign, renamed
from jaxalign.models.weights._fit import require_fit
from jaxalign.models.weights._hugging_face import bert, resnet, vit
from jaxalign.models.weights._hugging_face.config import Config, read_config
from jaxalign.models.weights._hugging_face.image_processor import ImageProcessor, image_processor
from jaxalign.models.weights._hugging_face.layout import Family, Task, class_names
from jaxalign.models.weights._hugging_face.parts import Parts
from jaxalign.models.weights._paths import regular
from jaxalign.models.weights._read import read

_FAMILIES = {"bert": bert.FAMILY, "vit": vit.FAMILY, "resnet": resnet.FAMILY}
_CONFIG = "config.json"
_PROCESSOR = "preprocessor_config.json"
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""In the order in which transformers looks for them."""


class HuggingFace(NamedTuple):
    """A model from a folder.

    Attributes:
      model: a ``BERT``, ``BERTClassifier``, ``ViT`` or ``ResNet`` in eval mode. As in transformers,
        a BERT masks nothing by itself: pass a mask, or set ``padding`` of the ``BERT``.
      preprocess: n images (h, w, 3) uint8, red first, of any sizes → (n, h, w, 3) float32, as
        preprocessor_config.json describes it; None where there is no such file.
      class_names: names of the outputs; None where the config has none, or the model no such
        layer.
      left_out: tensors of the file that belong to the head of a task that there is no layer for.
      source: the file of weights, for people.
      padding: the ``pad_token_id`` of a BERT's config, 0 where it has none; None if it is null.
    """

    model: nnx.Module
    preprocess: ImageProcessor | None
    class_names: tuple[str, ...] | None
    left_out: tuple[str, ...]
    source: str
    padding: int | None = None


def is_hugging_face(path: str | Path) -> bool:
    """Whether this is a folder with a config.json that names a model, as no run's does."""
    file = Path(path) / _CONFIG
    if not file.is_file():
        return False
    try:
        return not {"model_type", "architectures"}.isdisjoint(read_config(file).values)
    except ValueError:
        return False


def prepares_images(path: str | Path) -> bool:
    """Whether a folder says how images are prepared."""
    return (Path(path) / _PROCESSOR).is_file()


def expected_input(folder: str | Path) -> jax.ShapeDtypeStruct:
    """The shape and dtype of one input of a folder's model: an image, or a text of tokens."""
    config = _config(Path(folder))
    return _family(config).example(config)


def hugging_face(folder: str | Path) -> HuggingFace:
    """The model in a folder that transformers' ``save_pretrained`` wrote.

    Models are those of ``model_type`` "bert", "vit" and "resnet", of any size, as encoders or
    with a last layer of classes. Weights are model.safetensors or pytorch_model.bin, also in
    shards. transformers is not needed.

    Args:
      folder: holds config.json and the weights, perhaps preprocessor_config.json.

    Returns:
      HuggingFace.

    Raises:
      TypeError: no path.
      FileNotFoundError: no config.json, no weights.
      ValueError: an architecture that there is no model for: the message names those there are; a
        setting of the config that the model does not have; weights that do not fit the config: the
        message names, as in the file, what is missing, unused and of another shape; a damaged file.

    Example:
      >>> import jaxalign as ja
      >>> from jaxalign.models.weights import hugging_face
      >>> network = hugging_face("dino-vits16")  # doctest: +SKIP
      >>> tap = ja.tap(network.model, network.model.post_activations)  # doctest: +SKIP

    Source: the layouts are those of transformers' BertModel, ViTModel and ResNetModel.
    """
    require_kind(folder, str | Path, "folder", "pass the path of a folder")
    folder = Path(folder)
    config = _config(folder)
    family = _family(config)
    file = _weights(folder)
    tensors = renamed(read(file), family.other_names)
    task = _task(config, family, tensors)
    left_out = [name for name in tensors if _is_left_out(name, family, task)]
    model = _built(config, family, task, tensors)
    parts = Parts(model, partial(_saved_names, config, family, tensors))
    kept = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    require_fit(
        parts.saved,
        kept,
        f"the tensors of {file} do not fit {type(model).__name__} as {_CONFIG} describes it, which "
        f"needs {len(parts.saved)}, found {len(kept)}",
        f"Pass a folder whose {_CONFIG} and weights are of one model",
    )
    assign(model, parts.joined(kept))
    model.eval()
    processor = folder / _PROCESSOR
    return HuggingFace(
        model,
        image_processor(processor) if processor.is_file() else None,
        class_names(config) if task.classifies else None,
        tuple(left_out),
        f"{file.name} of {folder.resolve().name}",
        config.index("pad_token_id", 0) if family is bert.FAMILY else None,
    )


def _config(folder: Path) -> Config:
    if not (folder / _CONFIG).exists():
        raise FileNotFoundError(
            f"{folder} has no {_CONFIG}; it must be a folder that save_pretrained wrote"
        )
    return read_config(regular(folder / _CONFIG))


def _family(config: Config) -> Family:
    """The family of the config's model_type or, without one, of its architecture."""
    kind = config.values.get("model_type")
    for model_type, family in _FAMILIES.items():
        named = any(name in family.tasks for name in _architectures(config))
        if kind == model_type or (kind is None and named):
            return family
    known = ", ".join(f"{kind} ({', '.join(each.tasks)})" for kind, each in _FAMILIES.items())
    found = {name: config.values.get(name) for name in ("model_type", "architectures")}
    raise ValueError(f"{config.path} must be of a model that is known, {known}; found {found}")


def _architectures(config: Config) -> list[str]:
    names = config.values.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise config.wrong("architectures", "a list of names")
    return names


def _task(config: Config, family: Family, tensors: Mapping[str, np.ndarray]) -> Task:
    """The architecture that the config names or, if it names none, the one that the tensors are
    of.
    """
    names = _architectures(config)
    if not names:
        has_classes = any(name.startswith("classifier.") for name in tensors)
        return next(task for task in family.tasks.values() if task.classifies or not has_classes)
    if len(names) > 1 or names[0] not in family.tasks:
        raise config.wrong("architectures", f"one of {', '.join(family.tasks)}")
    return family.tasks[names[0]]


def _weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).exists():
            return regular(folder / name)
    raise FileNotFoundError(
        f"{folder} has no weights: none of {', '.join(_WEIGHTS)}; models of other frameworks are "
        "saved again by save_pretrained"
    )


def _is_left_out(name: str, family: Family, task: Task) -> bool:
    return name.removeprefix(family.prefix).startswith(task.left_out)


def _built(
    config: Config, family: Family, task: Task, tensors: Mapping[str, np.ndarray]
) -> nnx.Module:
    """The model, with shapes for weights: every weight comes from the file."""
    depths = config.values.get("depths", [config.values.get("num_hidden_layers", 0)])
    # A network of a million layers takes hours to build, and a line to ask for.
    if isinstance(depths, list) and sum(n for n in depths if type(n) is int) > len(tensors):
        raise ValueError(
            f"{config.path} describes more layers than there are tensors in the file of weights, "
            f"{len(tensors)}: {depths}"
        )
    has_pooler = any(name.removeprefix(family.prefix).startswith("pooler.") for name in tensors)
    try:
        return nnx.eval_shape(partial(family.build, config, task, has_pooler))
    except (OverflowError, TypeError, ValueError) as error:
        if str(config.path) in str(error):
            raise
        raise ValueError(f"{config.path} describes no model: {error}") from error


def _saved_names(
    config: Config, family: Family, tensors: Mapping[str, np.ndarray], name: str
) -> tuple[str, ...]:
    """What the tensors are called in the file that make one of the model."""
    has_prefix = any(saved.startswith(family.prefix) for saved in tensors)
    sources = family.sources(config, name)
    if not has_prefix:
        return sources
    return tuple(s if s.startswith(family.heads) else family.prefix + s for s in sources)
