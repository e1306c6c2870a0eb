"""Folders as Hugging Face's transformers writes them: config.json, and weights beside it."""

from jaxalign.models.weights._hugging_face.folder import (
    HuggingFace,
    expected_input,
    hugging_face,
    is_hugging_face,
    prepares_images,
)

__all__ = ["HuggingFace", "expected_input", "hugging_face", "is_hugging_face", "prepares_images"]
