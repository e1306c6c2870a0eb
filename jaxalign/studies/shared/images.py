"""Images from outside the package, as bytes: USPS digits, and one photo of each ImageNet class."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image
from scipy.io import loadmat

from jaxalign.studies.shared.outside import PHOTOS

CLASSES = 1000
"""Of ImageNet."""
USPS_SIDE = 16


def usps_digits(
    file: str | Path,
) -> tuple[UInt8[np.ndarray, "n 16 16"], Int[np.ndarray, " n"]]:
    """All images of USPS, of which the first 7291 are for training, and their digits."""
    content = loadmat(file)["usps_all"]
    pixels, numbers = content[:, :-1], content[:, -1]
    # The file counts digits from 1.
    return pixels.reshape(-1, USPS_SIDE, USPS_SIDE), numbers.astype(np.int32) - 1


def photos(folder: str | Path, classes: Iterable[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The photos of these classes, by number, of any sizes.

    Raises:
      FileNotFoundError: there are not a thousand photos.
    """
    files = sorted(Path(folder).glob("[0-9][0-9][0-9]_*"))
    if len(files) != CLASSES:
        raise FileNotFoundError(
            f"{folder} must hold one photo of each class, 000_... to 999_..., "
            f"found {len(files)}; unpack them again ({PHOTOS.origin})"
        )
    return (np.asarray(Image.open(files[number]).convert("RGB")) for number in classes)
