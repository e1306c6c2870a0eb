"""From a model nobody edited to the activations of its layers."""

from jaxalign.capture._tags import reap, tag
from jaxalign.capture._tap import Tap, tap

__all__ = ["Tap", "reap", "tag", "tap"]
