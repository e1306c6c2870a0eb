"""The model to measure or train: shipped, pretrained, or of a user, and the inputs it takes."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jaxalign.cli.checks import require_defaults
from jaxalign.cli.choices import Scaling
from jaxalign.cli.subject.architectures import SHIPPED, Architecture, Builder
from jaxalign.cli.subject.factory import Made, is_factory, make, raised
from jaxalign.cli.subject.hugging_face import model_in_folder
from jaxalign.cli.subject.images import as_colour, of_one_size, scaled
from jaxalign.cli.subject.loaded import INITIAL, Loaded
from jaxalign.cli.subject.options import ModelOptions
from jaxalign.models.weights import assign, is_orbax, pretrained, read, restore
from jaxalign.models.weights._hugging_face import prepares_images
from jaxalign.models.weights._pretrained import PUBLISHED
from jaxalign.runs._folder import holds_a_run


def load_model(
    options: ModelOptions, shape: tuple[int, ...], outputs: int, *, shapes_only: bool = False
) -> Loaded:
    """A shipped architecture or a pretrained model by name, or one from
    `path/to/module.py:factory` or a folder of Hugging Face's.

    Args:
      options: which model.
      shape: of one input as the data have it, which a shipped architecture is built for.
      outputs: of a shipped architecture, unless the options say how many, or a checkpoint has
        those of ImageNet.
      shapes_only: leave a shipped architecture without weights: nothing is computed.

    Raises:
      FileNotFoundError: no such file.
      ValueError: an unknown name; a factory or a checkpoint that is not what it must be.
    """
    name = options.model
    _require_used(options)
    if is_pretrained(name):
        return _pretrained(name, options.checkpoint)
    if is_folder(name):
        return model_in_folder(name)
    tensors = None
    in_orbax = options.checkpoint is not None and is_orbax(options.checkpoint)
    if options.checkpoint is not None and not shapes_only and not in_orbax:
        # Before the model is built, which may take minutes.
        tensors = read(options.checkpoint)
    if is_factory(name):
        made = make(name)
        weights = "as the factory returns them"
    elif name in SHIPPED:
        made = _build(options, _architecture(options, shape, outputs), shapes_only)
        weights = f"{INITIAL}, seed {options.seed}"
    else:
        raise ValueError(
            f"there is no model {name!r}; architectures are {', '.join(SHIPPED)}; pretrained "
            f"models {', '.join(PUBLISHED)}; one of your own is path/to/module.py:factory, or a "
            "folder with a config.json of Hugging Face's"
        )
    if options.checkpoint is not None and not shapes_only:
        if tensors is None:
            made = _restored(made, options.checkpoint)
        else:
            made = _with_weights(made, tensors)
        weights = f"of {options.checkpoint.name}"
    return Loaded(made.model, made.state, name, weights)


def is_pretrained(text: str) -> bool:
    """Whether a model is named that brings its weights with it."""
    return not is_factory(text) and text not in SHIPPED and text in PUBLISHED


def is_folder(text: str) -> bool:
    """Whether a model is given as a folder.

    Raises:
      ValueError: the folder is a run's.
    """
    named = is_factory(text) or text in SHIPPED or text in PUBLISHED
    if named or not Path(text).is_dir():
        return False
    if holds_a_run(Path(text)):
        raise ValueError(
            f"{text} is a run, and a model is needed; `jaxalign compare` takes runs, and `jaxalign "
            "show` prints them"
        )
    return True


def brings_preparation(text: str) -> bool:
    """Whether a model is given that prepares images itself."""
    return is_pretrained(text) or (is_folder(text) and prepares_images(text))


def adapted(
    loaded: Loaded, rows: Any, scaling: Scaling, size: int | None
) -> Callable[[Any], np.ndarray]:
    """The conversion from rows as the data have them to inputs of the model, tried on shapes: the
    model computes nothing.

    Pretrained models prepare images themselves. Others take pixels scaled; images without a channel
    axis are given one if the model wants it.

    Raises:
      ValueError: the model does not take such inputs; images of another range, or of several sizes.
    """
    reasons = []
    for convert in _conversions(loaded, rows, scaling, size):
        inputs = convert(rows)
        shape = jax.ShapeDtypeStruct(inputs.shape, jnp.result_type(inputs))
        try:
            jax.eval_shape(loaded, loaded.state, shape)
        except Exception as error:
            # Anything: a model of a user raises what it likes on a shape it was not made for.
            reasons.append(f"(n, {', '.join(map(str, inputs.shape[1:]))}): {raised(error)}")
            continue
        return convert
    raise ValueError(f"{loaded.name} does not take inputs of shape " + "; nor ".join(reasons))


def _conversions(
    loaded: Loaded, rows: Any, scaling: Scaling, size: int | None
) -> list[Callable[[Any], np.ndarray]]:
    """What to try, in this order."""

    def plain(batch: Any) -> np.ndarray:
        pixels = of_one_size(batch, size) if isinstance(batch, list) else batch
        return scaled(pixels, scaling)

    def with_channel(batch: Any) -> np.ndarray:
        return plain(batch)[..., None]

    if loaded.preprocess is not None:
        preprocess = loaded.preprocess
        return [lambda batch: np.asarray(preprocess([as_colour(image) for image in batch]))]
    if isinstance(rows, np.ndarray) and rows.ndim == 3:
        return [plain, with_channel]
    return [plain]


def _require_used(options: ModelOptions) -> None:
    """Raise if options were chosen that this model does not have."""
    in_folder = is_folder(options.model)
    if in_folder:
        reason = f"is not read: the weights are those in {options.model}"
        require_defaults(options, ["checkpoint"], reason)
    known = is_factory(options.model) or options.model in PUBLISHED or options.model in SHIPPED
    known = known or in_folder
    if known and options.model != "mlp":
        names = ["width", "depth", "activation"]
        require_defaults(options, names, f"would change nothing of {options.model}")
    if known and options.model not in SHIPPED:
        require_defaults(options, ["outputs"], f"would change nothing of {options.model}")


def _architecture(options: ModelOptions, shape: tuple[int, ...], outputs: int) -> Architecture:
    published = options.checkpoint is not None
    return Architecture(
        shape=shape,
        outputs=options.outputs or (1000 if published else outputs),
        widths=(options.width,) * options.depth,
        activation=options.activation,
        published=published,
    )


def _build(options: ModelOptions, architecture: Architecture, shapes_only: bool) -> Made:
    build = SHIPPED[options.model]
    if options.model != "mlp" and len(architecture.shape) not in (2, 3):
        raise ValueError(
            f"{options.model} takes images (h, w) or (h, w, channels), "
            f"found inputs of shape {architecture.shape}"
        )
    try:
        if shapes_only:
            model = nnx.eval_shape(lambda: build(architecture, nnx.Rngs(options.seed)))
        else:
            model = _jitted(build, architecture)(jax.random.key(options.seed))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{options.model} cannot be built for inputs of shape {architecture.shape}: {error}"
        ) from error
    model.eval()
    return Made(model, nnx.state(model))


@cache
def _jitted(build: Builder, architecture: Architecture) -> Callable[[Array], nnx.Module]:
    """One program for all layers and every key, where eager calls compile one for each shape."""
    return nnx.jit(lambda key: build(architecture, nnx.Rngs(key)))


def _restored(made: Made, folder: Path) -> Made:
    """The model with the arrays of a checkpoint of orbax."""
    state = restore(folder, made.state)
    if isinstance(made.model, nnx.Module):
        nnx.update(made.model, state)
    return Made(made.model, state)


def _with_weights(made: Made, tensors: Mapping[str, np.ndarray]) -> Made:
    if not isinstance(made.model, nnx.Module):
        raise ValueError(
            "such a --checkpoint is for flax.nnx models; for a linen module pass a folder that "
            "orbax wrote, or let the factory return variables with the weights in them"
        )
    assign(made.model, tensors)
    return Made(made.model, nnx.state(made.model))


def _pretrained(name: str, path: Path | None) -> Loaded:
    try:
        published = pretrained(name, path)
    except ModuleNotFoundError as error:
        # Of the package with the weights; the message says what to install.
        raise ValueError(str(error)) from None
    return Loaded(
        published.model,
        nnx.state(published.model),
        name,
        f"published, {published.source}",
        published.preprocess,
    )
