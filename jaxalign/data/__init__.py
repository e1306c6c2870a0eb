"""Data sets: embedded ones, and readers of the formats the field keeps them in."""

from jaxalign.data.cifar10 import cifar10
from jaxalign.data.csv import read_csv
from jaxalign.data.dataset import Dataset, Split
from jaxalign.data.fashion_mnist import fashion_mnist
from jaxalign.data.idx import read_idx
from jaxalign.data.images import ImageFolder, image_folder, read_image
from jaxalign.data.labelled import Labelled
from jaxalign.data.npz import read_npz
from jaxalign.data.synthetic import box_task, hyperplane_task, peaks_distance, peaks_task
from jaxalign.data.wordpiece import Tokens, WordPiece, read_wordpiece

__all__ = [
    "Dataset",
    "ImageFolder",
    "Labelled",
    "Split",
    "Tokens",
    "WordPiece",
    "box_task",
    "cifar10",
    "fashion_mnist",
    "hyperplane_task",
    "image_folder",
    "peaks_distance",
    "peaks_task",
    "read_csv",
    "read_idx",
    "read_image",
    "read_npz",
    "read_wordpiece",
]
