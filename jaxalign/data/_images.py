"""Image files, folders of image files, and the preprocessing of pretrained models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

# Pillow's modes of 8 bits a channel or fewer; converting wider ones to RGB would clip their values.
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of an image file, red first, upright by its EXIF orientation.

    Args:
      path: a file of any format Pillow reads. Grey becomes three equal channels; transparency is
        dropped.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an image, a damaged image, more than 8 bits a channel, or so many pixels that
        Pillow suspects a decompression bomb.

    Example:
      >>> import tempfile
      >>> from PIL import Image
      >>> from jaxalign.data import read_image
      >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
      ...     Image.new("L", (3, 2), 200).save(file.name)
      ...     pixels = read_image(file.name)
      >>> pixels.shape, pixels[0, 0].tolist()
      ((2, 3, 3), [200, 200, 200])
    """
    try:
        with Image.open(path) as image:
            if image.mode not in _EIGHT_BITS:
                raise ValueError(
                    f"it has pixels of mode {image.mode!r}, not of 8 bits a channel; "
                    "convert it first"
                )
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"{path} is no image that Pillow knows") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"the image {path} cannot be read: {error}") from None


@dataclass(frozen=True)
class ImageFolder:
    """Images on disk, one subfolder per class; an image is read when it is indexed.

    Attributes:
      paths: the n files, by class and name.
      labels: (n,) int32, positions in ``class_names``.
      class_names: the subfolders, in alphabetical order.
      source: where the images are, for people.
    """

    paths: tuple[Path, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "h w 3"]:
        return read_image(self.paths[row])

    def batches(self, size: int) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        """(images, labels) of ``size`` rows at a time, in order; the last batch may be smaller."""
        if size < 1:
            raise ValueError(f"size must be at least 1, found {size}")
        for start in range(0, len(self), size):
            rows = range(start, min(start + size, len(self)))
            yield [self[row] for row in rows], self.labels[start : start + size]


def image_folder(path: str | Path) -> ImageFolder:
    """The images under ``path``, whose subfolders are the classes; no image is read yet.

    Args:
      path: a folder of folders of images. Hidden files, and files without an extension that Pillow
        knows, are skipped.

    Raises:
      FileNotFoundError: no such folder.
      ValueError: fewer than two classes, or a class without images.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from PIL import Image
      >>> from jaxalign.data import image_folder
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name in ("dog/rex.png", "cat/tom.png"):
      ...         (Path(folder) / name).parent.mkdir()
      ...         Image.new("RGB", (8, 6)).save(Path(folder) / name)
      ...     images = image_folder(folder)
      ...     images.class_names, images.labels.tolist(), images[1].shape
      (('cat', 'dog'), [0, 1], (6, 8, 3))

    Source: the layout is that of ImageNet's archives.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is no folder; path must hold one subfolder of images per class"
        )
    folders = sorted(
        entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    if len(folders) < 2:
        names = ", ".join(folder.name for folder in folders) or "none"
        raise ValueError(f"{path} must hold at least two subfolders, one per class, found {names}")
    known = Image.registered_extensions()
    files = [
        sorted(file for file in folder.rglob("*") if _is_image(file, known)) for folder in folders
    ]
    for folder, images in zip(folders, files, strict=True):
        if not images:
            raise ValueError(
                f"the class {folder} has no image; "
                "put files such as .jpg or .png there, or remove it"
            )
    labels = np.repeat(np.arange(len(folders), dtype=np.int32), [len(images) for images in files])
    return ImageFolder(
        tuple(file for images in files for file in images),
        labels,
        tuple(folder.name for folder in folders),
        path.name,
    )


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


def _is_image(file: Path, endings: dict[str, str]) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() in endings
