"""Data sets: embedded ones, and readers of the formats the field keeps them in."""

from jaxalign.data._cifar10 import cifar10
from jaxalign.data._csv import read_csv
from jaxalign.data._dataset import Dataset, Split, balanced_rows
from jaxalign.data._dataset_folder import read_dataset
from jaxalign.data._fashion_mnist import fashion_mnist
from jaxalign.data._idx import read_idx
from jaxalign.data._image_files import read_image
from jaxalign.data._image_folder import ImageFolder, image_folder
from jaxalign.data._image_tar import read_image_tar
from jaxalign.data._labelled import Labelled
from jaxalign.data._npz import read_npz
from jaxalign.data._synthetic import box_task, hyperplane_task, peaks_distance, peaks_task
from jaxalign.data._wordpiece import Tokens, WordPiece, read_wordpiece

__all__ = [
    "Dataset",
    "ImageFolder",
    "Labelled",
    "Split",
    "Tokens",
    "WordPiece",
    "balanced_rows",
    "box_task",
    "cifar10",
    "fashion_mnist",
    "hyperplane_task",
    "image_folder",
    "peaks_distance",
    "peaks_task",
    "read_csv",
    "read_dataset",
    "read_idx",
    "read_image",
    "read_image_tar",
    "read_npz",
    "read_wordpiece",
]
