"""Flax models of the field, built so that ``tap`` sees post-activations by default."""

from jaxalign.models.mlp import MLP

__all__ = ["MLP"]
