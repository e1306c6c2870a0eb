"""Image files as arrays of bytes."""

import threading
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from jaxalign.data._limit import MAX_IMAGE_BYTES, require_within

# Pillow's modes of 8 bits a channel or fewer; converting wider ones to RGB would clip their values.
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
# Programs for a printer, films and tables: Pillow knows them, but has no pixels of them by itself.
_NO_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OPENING = threading.Lock()


def read_image(path: str | Path, *, max_bytes: int = MAX_IMAGE_BYTES) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of an image file, red first, upright by its EXIF orientation.

    Args:
      path: a file of any format Pillow reads. Grey becomes three equal channels; transparency is
        dropped; of several frames the first is taken.
      max_bytes: the most that the pixels may take, three bytes each. Pillow's own limit is not
        asked.

    Returns:
      (h, w, 3) uint8.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an image, a damaged image, more than 8 bits a channel, or more than
        ``max_bytes``. Damaged metadata are no fault: of these only the orientation is read.

    Example:
      >>> import tempfile
      >>> from PIL import Image
      >>> from jaxalign.data import read_image
      >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
      ...     Image.new("L", (3, 2), 200).save(file.name)
      ...     pixels = read_image(file.name)
      >>> pixels.shape, pixels[0, 0].tolist()
      ((2, 3, 3), [200, 200, 200])

    Source: ours, on Pillow.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    return pixels_of(path, str(path), max_bytes)


def pixels_of(
    file: Path | BytesIO, name: str, max_bytes: int = MAX_IMAGE_BYTES
) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a file, as ``read_image``; ``name`` is its name in messages."""
    try:
        with _opened(file) as image:
            if image.mode not in _EIGHT_BITS:
                raise ValueError(
                    f"it has pixels of mode {image.mode!r}, not of 8 bits a channel; "
                    "convert it first"
                )
            require_within(3 * image.width * image.height, max_bytes, f"{image.size} pixels")
            image.load()
            return np.asarray(_turned(image).convert("RGB"))
    except PermissionError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not an image that Pillow knows") from None
    except Exception as error:
        # Anything: the decoders of damaged files raise whatever they stumble over.
        raise ValueError(
            f"the image {name} cannot be read: {str(error) or type(error).__name__}"
        ) from error


@cache
def image_endings() -> frozenset[str]:
    """The endings of files that hold pixels, in lower case, each with its dot."""
    formats = _formats()
    return frozenset(
        ending
        for ending, name in Image.registered_extensions().items()
        if name in formats or name == "MPO"  # which is opened as the JPEG that it begins with
    )


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NO_PIXELS))


def _opened(file: Path | BytesIO) -> Image.Image:
    """An image of which no pixel is decoded yet."""
    with _OPENING:
        # Pillow would warn of 90 million pixels and refuse twice as many, whatever the caller says.
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(file, formats=_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _turned(image: Image.Image) -> Image.Image:
    try:
        turn = _UPRIGHT.get(int(image.getexif().get(_ORIENTATION, 1)))
    except Exception:
        # Anything, as above; metadata that cannot be read turn nothing.
        turn = None
    return image if turn is None else image.transpose(turn)
