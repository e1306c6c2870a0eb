"""Data sets: embedded ones, and readers of the formats the field keeps them in."""

from jaxalign.data.dataset import Dataset, Split
from jaxalign.data.fashion_mnist import fashion_mnist
from jaxalign.data.idx import read_idx

__all__ = ["Dataset", "Split", "fashion_mnist", "read_idx"]

from jaxalign.data.wordpiece import Tokens, WordPiece, read_wordpiece

__all__ += ["Tokens", "WordPiece", "read_wordpiece"]
