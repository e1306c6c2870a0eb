"""Published weights: read from files, assigned to a model, or loaded with their model."""

from jaxalign.models.weights._assign import assign
from jaxalign.models.weights._hugging_face import HuggingFace, hugging_face
from jaxalign.models.weights._orbax import is_orbax, restore
from jaxalign.models.weights._pretrained import Pretrained, pretrained
from jaxalign.models.weights._read import read

__all__ = [
    "HuggingFace",
    "Pretrained",
    "assign",
    "hugging_face",
    "is_orbax",
    "pretrained",
    "read",
    "restore",
]
