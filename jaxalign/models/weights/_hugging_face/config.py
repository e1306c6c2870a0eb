"""A JSON file of settings, whose values are checked when they are asked for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxalign.models._attention import gelu

_LARGEST_FILE = 10_000_000
_LARGEST_NUMBER = 2**31 - 1


def _approximate_gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=True)


def _quick_gelu(x: Array) -> Array:
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_python": gelu,
    "gelu_new": _approximate_gelu,
    "gelu_fast": _approximate_gelu,
    "gelu_pytorch_tanh": _approximate_gelu,
    "quick_gelu": _quick_gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""The functions that transformers knows by these names."""


@dataclass(frozen=True)
class Config:
    """Settings by name.

    Attributes:
      path: of the file, for messages.
      values: what it holds.
    """

    path: Path
    values: Mapping[str, Any]

    def integer(self, name: str, default: int) -> int:
        """A positive integer."""
        value = self.values.get(name, default)
        if type(value) is not int or not 1 <= value <= _LARGEST_NUMBER:
            raise self.wrong(name, "a positive integer")
        return value

    def index(self, name: str, default: int) -> int | None:
        """An integer from 0 on; null is none."""
        value = self.values.get(name, default)
        if value is not None and (type(value) is not int or not 0 <= value <= _LARGEST_NUMBER):
            raise self.wrong(name, "an integer from 0 on, or null")
        return value

    def integers(self, name: str, default: list[int]) -> list[int]:
        """A list of positive integers."""
        value = self.values.get(name, default)
        if not isinstance(value, list) or not value:
            raise self.wrong(name, "a list of positive integers")
        if any(type(x) is not int or not 1 <= x <= _LARGEST_NUMBER for x in value):
            raise self.wrong(name, "a list of positive integers")
        return value

    def side(self, name: str, default: int) -> int:
        """The rows of a square, which may be given as one number or as two equal ones."""
        value = self.values.get(name, default)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            return Config(self.path, {name: value[0]}).integer(name, default)
        return self.integer(name, default)

    def number(self, name: str, default: float) -> float:
        """A positive number."""
        value = self.values.get(name, default)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise self.wrong(name, "a positive number")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or False; null is the default."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def activation(self, name: str, default: str) -> Callable[[Array], Array]:
        """A function by its name."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise self.wrong(name, f"one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[value]

    def require(self, name: str, only: Any) -> None:
        """Raise unless a setting, where it is given, has the only value that there is a model
        for.
        """
        value = self.values.get(name)
        if value is not None and value != only:
            raise self.wrong(name, f"{json.dumps(only)}: no model here has anything else")

    def wrong(self, name: str, allowed: str) -> ValueError:
        """The error of a value that is not allowed."""
        value = self.values.get(name)
        return ValueError(f"{self.path}: {name} must be {allowed}, found {value!r}")


def read_config(path: Path) -> Config:
    """The settings in a JSON file.

    Raises:
      ValueError: no JSON object, or a file too large to be one of settings.
    """
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path} is too large for a file of settings")
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, found a {type(values).__name__}")
    return Config(path, values)
