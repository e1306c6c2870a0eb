"""Data that do not come with the package: where a user has put them, and what they are.

A folder holds them under the names here; ``jaxalign study --data FOLDER`` or the environment
variable JAXALIGN_DATA says which. A study measures what is there and says what was not.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

FOLDER = "JAXALIGN_DATA"
"""The environment variable."""


class Source(NamedTuple):
    """A data set from elsewhere.

    Attributes:
      name: for tables.
      path: of its file or folder, inside the user's folder.
      origin: where it comes from.
    """

    name: str
    path: str
    origin: str


CIFAR10 = Source(
    "CIFAR-10",
    "cifar-10-batches-bin",
    "the binary version of www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky 2009)",
)
PHOTOS = Source(
    "ImageNet photos",
    "imagenet-1000-photos",
    "one photo of each class, github.com/EliSchwartz/imagenet-sample-images",
)
CT_SLICES = Source(
    "CT slices",
    "ct_slices_681.csv",
    "UCI, relative location of CT slices on axial axis (CC BY 4.0), 681 rows",
)
USPS = Source(
    "USPS",
    "usps_all.mat",
    "9298 digits of 16 × 16 pixels, as in github.com/hyzhang98/AnchorGAE-torch",
)
SOURCES = (CIFAR10, PHOTOS, CT_SLICES, USPS)


def is_there(source: Source) -> bool:
    """Whether the user's folder holds it."""
    return FOLDER in os.environ and Path(os.environ[FOLDER], source.path).exists()


def path_of(source: Source) -> Path:
    """The file or folder of a data set.

    Raises:
      ValueError: no folder is named, or it does not hold the data set.
    """
    if FOLDER not in os.environ:
        raise ValueError(
            f"{source.name} does not come with the package ({source.origin}); "
            f"name a folder that holds {source.path} by --data or {FOLDER}"
        )
    if not is_there(source):
        raise ValueError(
            f"{source.name} is not in {os.environ[FOLDER]}; put {source.path} there "
            f"({source.origin})"
        )
    return Path(os.environ[FOLDER], source.path)


def left_out(names: Iterable[str], sources: Iterable[Source]) -> list[str]:
    """A sentence for every data set that is not among the names that were measured."""
    measured = set(names)
    return [
        f"{source.name} was not at hand, so it was not measured; {FOLDER} names the folder of "
        f"{source.path}."
        for source in sources
        if source.name not in measured
    ]
