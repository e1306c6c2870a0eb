"""Data sets: embedded ones, and readers of the formats the field keeps them in."""

from jaxalign.data.dataset import Dataset, Split
from jaxalign.data.fashion_mnist import fashion_mnist
from jaxalign.data.idx import read_idx
from jaxalign.data.images import ImageFolder, image_folder, read_image

__all__ = ["Dataset", "ImageFolder", "Split", "fashion_mnist", "image_folder", "read_idx", "read_image"]

from jaxalign.data.wordpiece import Tokens, WordPiece, read_wordpiece

__all__ += ["Tokens", "WordPiece", "read_wordpiece"]
