"""Data sets: embedded ones, and readers of the formats the field keeps them in."""

from jaxalign.data.csv import read_csv
from jaxalign.data.dataset import Dataset, Split
from jaxalign.data.fashion_mnist import fashion_mnist
from jaxalign.data.idx import read_idx
from jaxalign.data.labelled import Labelled
from jaxalign.data.npz import read_npz

__all__ = ["Dataset", "Labelled", "Split", "fashion_mnist", "read_csv", "read_idx", "read_npz"]
