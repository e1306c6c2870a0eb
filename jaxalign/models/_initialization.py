"""How layers are drawn before training: from the number of inputs of each."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.nn.initializers import variance_scaling, zeros

from jaxalign._core.kinds import require_function, require_kind, require_number
from jaxalign._core.known import known_values

Initializer = Callable[..., Array]
"""Of (key, shape, dtype), as flax takes it."""


def zero_bias(inputs: int) -> Initializer:
    """Biases that start at 0, whatever the number of inputs."""
    return zeros


class Initialization(NamedTuple):
    """The initial weights and biases of a layer.

    Attributes:
      kernel: an initializer of flax, of (key, shape, dtype), for the weights.
      bias: of the layer's number of inputs (its fan-in): the initializer of its bias. By default
        biases start at 0.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import MLP, Initialization
      >>> he = Initialization(nnx.initializers.he_normal())
      >>> model = MLP(784, (128, 128), 1, initialization=he, rngs=nnx.Rngs(0))

    Source: flax's ``kernel_init`` and ``bias_init``; the latter knows no fan-in.
    """

    kernel: Initializer
    bias: Callable[[int], Initializer] = zero_bias


def lecun_normal(scale: float | Array = 1.0) -> Initialization:
    """Truncated normal weights, of standard deviation scale/√fan_in; biases are 0.

    Args:
      scale: above 0.

    Returns:
      Initialization.

    Raises:
      TypeError, ValueError: a scale that is not such a number.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jaxalign.models import lecun_normal
      >>> weights = lecun_normal().kernel(jax.random.key(0), (100, 200), jnp.float32)
      >>> round(float(weights.std()), 2)
      0.1

    Source: LeCun et al., Efficient BackProp (1998); flax's default.
    """
    _require_scale(scale)
    return Initialization(variance_scaling(scale**2, "fan_in", "truncated_normal"))


def torch_uniform(scale: float | Array = 1.0) -> Initialization:
    """Uniform weights and biases, U(±scale/√fan_in): with scale 1 those of torch's Linear and Conv.

    Their standard deviation is scale/√(3 fan_in), 0.58 of ``lecun_normal``'s.

    Args:
      scale: above 0.

    Returns:
      Initialization.

    Raises:
      TypeError, ValueError: a scale that is not such a number.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jaxalign.models import torch_uniform
      >>> key = jax.random.key(0)
      >>> weights = torch_uniform().kernel(key, (100, 200), jnp.float32)
      >>> round(float(abs(weights).max()), 3), round(float(weights.std()), 3)
      (0.1, 0.058)

    Source: torch.nn.Linear.reset_parameters, whose kaiming_uniform(a=√5) has this bound.
    """
    _require_scale(scale)

    def bias(inputs: int) -> Initializer:
        bound = scale / math.sqrt(inputs)

        def draw(key: Array, shape: tuple[int, ...], dtype: jax.typing.DTypeLike) -> Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return draw

    # Of a uniform distribution the bound is √3 standard deviations.
    return Initialization(variance_scaling(scale**2 / 3, "fan_in", "uniform"), bias)


def require_initialization(value: Any) -> None:
    """Raise unless a model's argument ``initialization`` is one."""
    remedy = (
        "pass torch_uniform() or lecun_normal() of jaxalign.models, or put an initializer of flax "
        "into one, as by Initialization(nnx.initializers.he_normal())"
    )
    require_kind(value, Initialization, "initialization", remedy)
    require_function(value.kernel, "initialization.kernel", remedy)
    require_function(value.bias, "initialization.bias", "pass a function of the number of inputs")


def _require_scale(scale: float | Array) -> None:
    require_number(scale, "scale")
    known = known_values(scale)
    if known is not None and not 0 < known < math.inf:
        raise ValueError(f"scale must be above 0 and finite, found {scale}")


# The default of models, made once.
LECUN_NORMAL = lecun_normal()
