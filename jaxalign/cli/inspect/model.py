"""The model that `jaxalign inspect` asks: shipped, pretrained, or of the user's own, and the inputs
it takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxalign import models
from jaxalign.cli.inspect.data import Scaling, of_one_size, scaled
from jaxalign.cli.inspect.factory import Made, is_factory, make, told
from jaxalign.models.weights import assign, pretrained, read
from jaxalign.models.weights._pretrained import PUBLISHED

SMALL = 64  # pixels: images up to that size are not shrunk at the door


@dataclass(frozen=True)
class Wanted:
    """What a shipped architecture is built for.

    Attributes:
      shape: of one input as the data have it.
      outputs: how many.
      published: whether published weights go in: three channels, the full-size stem.
      seed: of the initial weights.
    """

    shape: tuple[int, ...]
    outputs: int
    published: bool
    seed: int

    @property
    def images(self) -> dict[str, Any]:
        """Keywords of a network for images."""
        channels = 3 if self.published else self.shape[2] if len(self.shape) == 3 else 1
        return {"channels": channels, "rngs": self.rngs}

    @property
    def stem(self) -> Literal["imagenet", "cifar"]:
        """Whether a network for large images begins by shrinking them."""
        return "imagenet" if self.published or min(self.shape[:2]) > SMALL else "cifar"

    @property
    def rngs(self) -> nnx.Rngs:
        """The source of the initial weights."""
        return nnx.Rngs(self.seed)


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode, ready to be tapped.

    Attributes:
      model: as ``tap`` takes it.
      state: as the tap takes it.
      name: for people.
      weights: what weights it has, for people.
      preprocess: from images of bytes to its inputs, if it is known.
    """

    model: Any
    state: Any
    name: str
    weights: str
    preprocess: Callable[[Sequence[np.ndarray]], Any] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers a paper would plot, if the model says which; else all."""
        return tuple(getattr(self.model, "post_activations", ("*",)))

    def __call__(self, state: Any, x: Any) -> Any:
        """The model as a function."""
        if isinstance(self.model, nnx.Module):
            return nnx.merge(nnx.graphdef(self.model), state)(x)
        return self.model.apply(state, x)


def _efficientnet_lite(version: int) -> Callable[[Wanted], nnx.Module]:
    return lambda w: models.efficientnet_lite(version, w.outputs, **w.images)


SHIPPED: dict[str, Callable[[Wanted], nnx.Module]] = {
    "mlp": lambda w: models.MLP(prod(w.shape), (128, 128, 128), w.outputs, rngs=w.rngs),
    "cnn": lambda w: models.CNN(
        (*w.shape[:2], w.images["channels"]), (32, 64), 128, w.outputs, rngs=w.rngs
    ),
    "resnet18": lambda w: models.resnet18(w.outputs, stem=w.stem, **w.images),
    "resnet34": lambda w: models.resnet34(w.outputs, stem=w.stem, **w.images),
    "resnet50": lambda w: models.resnet50(w.outputs, stem=w.stem, **w.images),
    "vgg11": lambda w: models.vgg11(w.outputs, **w.images),
    "vgg11_bn": lambda w: models.vgg11(w.outputs, batch_norm=True, **w.images),
    "vgg16": lambda w: models.vgg16(w.outputs, **w.images),
    "vgg16_bn": lambda w: models.vgg16(w.outputs, batch_norm=True, **w.images),
    "squeezenet1_1": lambda w: models.SqueezeNet(w.outputs, **w.images),
    **{f"efficientnet_lite{version}": _efficientnet_lite(version) for version in range(5)},
    "vit_s_16": lambda w: models.vit_s_16(w.outputs, image=w.shape[0], rngs=w.rngs),
    "vit_b_16": lambda w: models.vit_b_16(w.outputs, image=w.shape[0], rngs=w.rngs),
}


def load_model(
    text: str,
    shape: tuple[int, ...],
    outputs: int,
    *,
    checkpoint: Path | None,
    seed: int,
    shapes_only: bool = False,
) -> Loaded:
    """A shipped architecture or a pretrained model by name, or one from
    `path/to/module.py:factory`.

    Args:
      text: the model.
      shape: of one input as the data have it, which a shipped architecture is built for.
      outputs: of a shipped architecture.
      checkpoint: weights to read into a flax.nnx model; of a pretrained one, where its weights are.
      seed: of a shipped architecture's initial weights.
      shapes_only: leave a shipped architecture without weights: nothing is computed.

    Raises:
      FileNotFoundError: no such file.
      ValueError: an unknown name; a factory or a checkpoint that is not what it must be.
    """
    if is_factory(text):
        made, weights = make(text), "as the factory returns them"
    elif text in SHIPPED:
        wanted = Wanted(shape, outputs, checkpoint is not None, seed)
        made, weights = (
            _build(text, wanted, nnx.eval_shape if shapes_only else _jitted),
            f"initial, seed {seed}",
        )
    elif is_pretrained(text):
        return _pretrained(text, checkpoint)
    else:
        raise ValueError(
            f"there is no model {text!r}; architectures are {', '.join(SHIPPED)}; pretrained models "
            f"{', '.join(PUBLISHED)}; one of your own is path/to/module.py:factory"
        )
    if checkpoint is not None and not shapes_only:
        made, weights = _with_weights(made, checkpoint), f"of {checkpoint.name}"
    return Loaded(made.model, made.state, text, weights)


def is_pretrained(text: str) -> bool:
    """Whether a model is named that brings its weights, and what to do to images, with it."""
    return not is_factory(text) and text not in SHIPPED and text in PUBLISHED


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

    def plain(batch: Any) -> np.ndarray:
        return scaled(of_one_size(batch, size) if isinstance(batch, list) else batch, scaling)

    def with_channel(batch: Any) -> np.ndarray:
        return plain(batch)[..., None]

    def prepared(batch: Any) -> np.ndarray:
        return np.asarray(loaded.preprocess([_as_colour(image) for image in batch]))  # type: ignore[misc]

    grey = isinstance(rows, np.ndarray) and rows.ndim == 3
    ways = [prepared] if loaded.preprocess else [plain, with_channel] if grey else [plain]
    reasons = []
    for way in ways:
        inputs = way(rows)
        try:
            jax.eval_shape(
                loaded, loaded.state, jax.ShapeDtypeStruct(inputs.shape, jnp.result_type(inputs))
            )
        except Exception as error:  # whatever a model raises on a shape that it was not made for
            reasons.append(f"(n, {', '.join(map(str, inputs.shape[1:]))}): {told(error)}")
            continue
        return way
    raise ValueError(f"{loaded.name} does not take inputs of shape " + "; nor ".join(reasons))


def _jitted(build: Callable[[], nnx.Module]) -> nnx.Module:
    return nnx.jit(build)()  # one program instead of one for every shape of a layer


def _build(name: str, wanted: Wanted, by: Callable[[Callable[[], nnx.Module]], nnx.Module]) -> Made:
    try:
        model = by(lambda: SHIPPED[name](wanted))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} cannot be built for inputs of shape {wanted.shape}: {error}"
        ) from error
    model.eval()
    return Made(model, nnx.state(model))


def _with_weights(made: Made, checkpoint: Path) -> Made:
    if not isinstance(made.model, nnx.Module):
        raise ValueError(
            "--checkpoint is for flax.nnx models; let the factory return linen variables with the weights in them"
        )
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {checkpoint}")
    assign(made.model, read(checkpoint))
    return Made(made.model, nnx.state(made.model))


def _pretrained(name: str, path: Path | None) -> Loaded:
    try:
        found = pretrained(name, path)
    except ModuleNotFoundError as error:  # of the package with the weights; says what to type
        raise ValueError(str(error)) from None
    return Loaded(
        found.model, nnx.state(found.model), name, f"published, {found.source}", found.preprocess
    )


def _as_colour(image: Any) -> np.ndarray:
    x = np.asarray(image)
    if x.dtype != np.uint8:
        raise ValueError(
            f"a pretrained model prepares images of bytes (uint8, 0 to 255) itself, found {x.dtype}; give such images"
        )
    return np.repeat(
        x[..., None] if x.ndim == 2 else x, 3 if x.ndim == 2 or x.shape[-1] == 1 else 1, axis=-1
    )
