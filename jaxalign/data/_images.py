"""The preprocessing of pretrained models: images cut, scaled and stacked."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image


def crop_and_resize(
    image: np.ndarray, size: int, share: float = 1.0
) -> UInt8[np.ndarray, "size size 3"]:
    """The middle square of an image, scaled by bicubic interpolation to (size, size, 3).

    Args:
      image: (h, w, 3) uint8.
      size: rows and columns of the result.
      share: side of the square, as a share of the image's shorter side.

    Raises:
      TypeError: not a uint8 array.
      ValueError: another shape.

    Example:
      >>> import numpy as np
      >>> from jaxalign.data._images import crop_and_resize
      >>> crop_and_resize(np.full((40, 30, 3), 7, np.uint8), 16, share=0.5).shape
      (16, 16, 3)

    Source: the evaluation of Tan, Le, EfficientNet (ICML 2019), with Pillow's interpolation.
    """
    require_image(image)
    # Of an odd margin, the larger part is cut off at the top and at the left.
    height, width = image.shape[:2]
    side = max(1, round(share * min(height, width)))
    top = (height - side + 1) // 2
    left = (width - side + 1) // 2
    square = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def efficientnet_lite_pixels(
    images: Sequence[np.ndarray], size: int
) -> Float32[np.ndarray, "n size size 3"]:
    """Images preprocessed for EfficientNet-Lite: cropped, resized, scaled to (x − 127)/128.

    The crop is the middle square of size/(size + 32) of the shorter side.

    Args:
      images: n arrays (h, w, 3) uint8, of any sizes.
      size: 224, 240, 260, 280, 300 for Lite0 to Lite4.

    Returns:
      (n, size, size, 3) float32.

    Raises:
      TypeError: images that are not uint8.
      ValueError: no images, or one of another shape.

    Example:
      >>> import numpy as np
      >>> from jaxalign.data._images import efficientnet_lite_pixels
      >>> efficientnet_lite_pixels([np.full((40, 30, 3), 255, np.uint8)], 224)[0, 0, 0].tolist()
      [1.0, 1.0, 1.0]

    Source: TensorFlow's EfficientNet-Lite (2020).
    """
    return (_stacked(images, size, share=size / (size + 32)) - 127) / 128


def squeezenet_pixels(
    images: Sequence[np.ndarray], size: int = 227
) -> Float32[np.ndarray, "n size size 3"]:
    """Images preprocessed for Caffe's SqueezeNet 1.1: the middle square, blue first, mean removed.

    Args:
      images: n arrays (h, w, 3) uint8, of any sizes.
      size: rows and columns of the result.

    Returns:
      (n, size, size, 3) float32.

    Raises:
      TypeError: images that are not uint8.
      ValueError: no images, or one of another shape.

    Example:
      >>> import numpy as np
      >>> from jaxalign.data._images import squeezenet_pixels
      >>> image = np.full((40, 30, 3), (124, 117, 104), np.uint8)
      >>> squeezenet_pixels([image])[0, 0, 0].astype(float).round(2).tolist()
      [0.06, 0.22, 0.32]

    Source: Iandola et al., SqueezeNet (2016); the mean is that of the VGG networks.
    """
    return _stacked(images, size)[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def require_image(image: np.ndarray) -> None:
    """Raise unless the image is (h, w, 3) uint8; the message says how to convert it."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(
            f"images must be numpy arrays of uint8, 0 to 255, found {kind}; "
            "scale and round them to bytes"
        )
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise ValueError(
            f"images must be (h, w, 3), red first, found {image.shape}; "
            "repeat the channel of a grey one, and drop the fourth of a transparent one"
        )


def _stacked(
    images: Sequence[np.ndarray], size: int, share: float = 1.0
) -> Float32[np.ndarray, "n size size 3"]:
    if len(images) == 0:
        raise ValueError("images must hold at least one image, found none")
    return np.stack([crop_and_resize(image, size, share) for image in images]).astype(np.float32)
