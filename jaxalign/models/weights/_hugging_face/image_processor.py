"""The preparation of images that preprocessor_config.json describes, with Pillow."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import Image

from jaxalign.data._images import require_image
from jaxalign.models.weights._hugging_face.config import Config, read_config

_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
_WARPED = 384
"""ConvNext's processor does not crop from this size on."""


class _Frame(NamedTuple):
    """What is done to the size of an image.

    Attributes:
      size: rows and columns to scale to, or None.
      shortest: the shorter side to scale to, or None.
      crop: rows and columns of the middle to keep, or None.
    """

    size: tuple[int, int] | None = None
    shortest: int | None = None
    crop: tuple[int, int] | None = None

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns to scale an image of these to."""
        if self.shortest is None:
            return self.size or (height, width)
        longer = int(self.shortest * max(height, width) / min(height, width))
        return (self.shortest, longer) if height <= width else (longer, self.shortest)


@dataclass(frozen=True)
class ImageProcessor:
    """Images (h, w, 3) of bytes, of any sizes → (n, rows, columns, 3) float32.

    Attributes:
      frame: what is done to their sizes.
      resampling: the interpolation.
      scale: of bytes.
      mean: (3,) subtracted after that.
      std: (3,) divided by at the end.
    """

    frame: _Frame
    resampling: Image.Resampling
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Sequence[np.ndarray]) -> Float32[np.ndarray, "n h w 3"]:
        if len(images) == 0:
            raise ValueError("images must hold at least one image, found none")
        pixels = np.stack([self._framed(image) for image in images]).astype(np.float32)
        scaled = pixels * np.float32(self.scale)
        return (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)

    def _framed(self, image: np.ndarray) -> np.ndarray:
        require_image(image)
        rows, columns = self.frame.scaled(*image.shape[:2])
        if (rows, columns) != image.shape[:2]:
            resized = Image.fromarray(image).resize((columns, rows), self.resampling)
            image = np.asarray(resized)
        kept = self.frame.crop or (rows, columns)
        if kept[0] > rows or kept[1] > columns:
            raise ValueError(
                f"images must have at least {kept[0]} × {kept[1]} pixels, found {rows} × {columns}"
            )
        top = (rows - kept[0]) // 2
        left = (columns - kept[1]) // 2
        return image[top : top + kept[0], left : left + kept[1]]


def image_processor(path: Path) -> ImageProcessor:
    """The preparation that a preprocessor_config.json describes.

    Raises:
      ValueError: another processor than ViT's and ConvNext's, which ResNets have; a step or a
        value that is not known.
    """
    config = read_config(path)
    is_convnext = _is_convnext(config)
    for name, value in config.values.items():
        if name.startswith("do_") and value and name not in _STEPS:
            raise config.wrong(name, "false: no such step is known")
    frame = _Frame()
    if config.flag("do_resize", True):
        frame = _convnext_frame(config) if is_convnext else _frame(config, "size", 224)
    if config.flag("do_center_crop", False):
        # A shorter side is the side of a square here.
        frame = frame._replace(crop=_frame(config, "crop_size", 224).scaled(1, 1))
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if config.flag("do_normalize", True):
        mean, std = _of_channels(config, "image_mean"), _of_channels(config, "image_std")
        if 0 in std:
            raise config.wrong("image_std", "three numbers other than 0")
    scale = config.number("rescale_factor", 1 / 255) if config.flag("do_rescale", True) else 1.0
    return ImageProcessor(frame, _resampling(config, is_convnext), scale, mean, std)


def _is_convnext(config: Config) -> bool:
    """Whether it is ConvNext's processor, or else ViT's, by the names of all versions."""
    name = config.values.get("image_processor_type") or config.values.get("feature_extractor_type")
    kind = re.fullmatch(r"(ViT|ConvNext)(ImageProcessor|FeatureExtractor)(Fast|Pil)?", str(name))
    if kind is None:
        raise config.wrong(
            "image_processor_type",
            "ViTImageProcessor or ConvNextImageProcessor, whose steps are known (or move the file "
            "away, and prepare the images yourself)",
        )
    return kind[1] == "ConvNext"


def _frame(config: Config, name: str, default: int) -> _Frame:
    """A size as it is given: a number, rows and columns, or the shorter side."""
    value = config.values.get(name, default)
    if not isinstance(value, dict):
        side = config.integer(name, default)
        return _Frame(size=(side, side))
    sides = Config(config.path, {key: side for key, side in value.items() if side is not None})
    if set(sides.values) == {"height", "width"}:
        return _Frame(size=(sides.integer("height", 1), sides.integer("width", 1)))
    if set(sides.values) == {"shortest_edge"}:
        return _Frame(shortest=sides.integer("shortest_edge", 1))
    raise config.wrong(name, "a number, height and width, or shortest_edge")


def _convnext_frame(config: Config) -> _Frame:
    """A square: small ones are the middle of a larger one, others are warped."""
    frame = _frame(config, "size", _WARPED)
    side = frame.shortest
    if frame.size is not None:
        if frame.size[0] != frame.size[1]:
            raise config.wrong("size", "shortest_edge")
        side = frame.size[0]
    assert side is not None
    if side >= _WARPED:
        return _Frame(size=(side, side))
    share = config.number("crop_pct", 224 / 256)
    return _Frame(shortest=int(side / share), crop=(side, side))


def _resampling(config: Config, is_convnext: bool) -> Image.Resampling:
    default = Image.Resampling.BICUBIC if is_convnext else Image.Resampling.BILINEAR
    try:
        return Image.Resampling(config.values.get("resample", default))
    except ValueError:
        raise config.wrong("resample", "a number of Pillow's interpolations, 0 to 5") from None


def _of_channels(config: Config, name: str) -> tuple[float, ...]:
    """A number for each of the three channels, 0.5 by default."""
    value = config.values.get(name, [0.5, 0.5, 0.5])
    numbers = [value] * 3 if isinstance(value, int | float) else value
    if not isinstance(numbers, list) or len(numbers) != 3:
        raise config.wrong(name, "three numbers")
    if not all(type(x) in (int, float) and math.isfinite(x) for x in numbers):
        raise config.wrong(name, "three numbers")
    return tuple(map(float, numbers))
