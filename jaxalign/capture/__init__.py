"""Capture the activations of a model's layers without editing the model."""

from jaxalign.capture._tags import reap, tag
from jaxalign.capture._tap import Tap, tap

__all__ = ["Tap", "reap", "tag", "tap"]
