"""Pixels as a model takes them: one size, one range, three channels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxalign.cli.choices import Scaling
from jaxalign.data._images import crop_and_resize

IMAGE_RANGE = 20.0
"""No usual scaling of pixels leads so far from 0."""

# (offset, scale) of pixels in [0, 1]: x → (x − offset) / scale.
SCALINGS: dict[str, tuple[Any, Any]] = {
    "signed": (0.5, 0.5),
    "unit": (0.0, 1.0),
    "imagenet": (np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))),
}


def of_one_size(images: Sequence[np.ndarray], size: int | None) -> np.ndarray:
    """Images as an array: their middle squares at ``size`` × ``size``, or as they are.

    Raises:
      ValueError: as they are, they differ.
    """
    if size is not None:
        return np.stack([crop_and_resize(image, size) for image in images])
    shapes = sorted({image.shape[:2] for image in images})
    if len(shapes) > 1:
        sizes = ", ".join(f"{h} × {w}" for h, w in shapes[:3])
        raise ValueError(
            f"images differ in size ({sizes}); pass --size 224, say, which scales their middle "
            "squares to 224 × 224"
        )
    return np.stack(images)


def scaled(rows: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Bytes scaled as pixels, other numbers as they are, float32.

    Raises:
      ValueError: images that are floats of a byte's range; three channels' scaling for other
        images.
    """
    if rows.dtype == np.uint8:
        return _scaled_bytes(rows, scaling)
    if rows.ndim >= 3:
        _require_scaled(rows)
        return rows.astype(np.float32)
    # Token ids and other integers in a table stay what they are.
    return rows.astype(np.float32) if rows.dtype.kind in "fb" else rows


def as_colour(image: Any) -> np.ndarray:
    """An image (h, w, 3) of bytes, a grey one repeated.

    Raises:
      ValueError: pixels that are not bytes.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise ValueError(
            "a pretrained model prepares images of bytes (uint8, 0 to 255) itself, "
            f"found {pixels.dtype}; give such images"
        )
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    return pixels


def _scaled_bytes(rows: np.ndarray, scaling: Scaling) -> np.ndarray:
    if scaling == "none":
        return rows.astype(np.float32)
    if scaling == "imagenet" and rows.shape[-1] != 3:
        raise ValueError(
            f"--scaling imagenet is for images (n, h, w, 3), found {rows.shape}; "
            "choose signed or unit"
        )
    offset, scale = SCALINGS[scaling]
    return ((rows.astype(np.float32) / 255 - offset) / scale).astype(np.float32)


def _require_scaled(rows: np.ndarray) -> None:
    largest = float(np.nanmax(np.abs(rows)))
    if largest > IMAGE_RANGE:
        raise ValueError(
            f"inputs of shape {rows.shape[1:]} have values up to {largest:g}, too large for pixels "
            "that were scaled; give bytes (uint8), which --scaling scales, or scale them as the "
            "model was trained with"
        )
