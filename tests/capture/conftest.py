"""What layers under a transformation have to give, in numpy."""

from collections.abc import Callable

import numpy as np
import pytest

WIDTH = 4
LENGTH = 4


def activations_of(kind: str, kernel: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """By suffix of the name, the values of layers tanh(x @ kernel).

    Args:
      kind: "one" layer; one layer that "calls" itself LENGTH times; a "stack" of LENGTH layers; an
        "ensemble" of LENGTH layers with the same input; one layer on LENGTH "positions".
      kernel: (WIDTH, WIDTH), or with LENGTH in front.
      x: (n, WIDTH).
    """
    match kind:
        case "one":
            return {"": np.tanh(x @ kernel)}
        case "positions":
            return {"": np.stack([np.tanh(i * x @ kernel) for i in range(LENGTH)], axis=1)}
        case "ensemble":
            return {f"[{i}]": np.tanh(x @ kernel[i]) for i in range(LENGTH)}
    values = {}
    for i in range(LENGTH):
        x = np.tanh(x @ (kernel[i] if kind == "stack" else kernel))
        values[f"[{i}]"] = x
    return values


def output_of(kind: str, activations: dict[str, np.ndarray]) -> np.ndarray:
    """What a layer of this kind hands on: the mean, or the last value."""
    values = list(activations.values())
    match kind:
        case "positions":
            return values[0].mean(axis=1)
        case "ensemble":
            return np.mean(values, axis=0)
    return values[-1]


@pytest.fixture
def assert_is_that_of_numpy() -> Callable[..., None]:
    """Checks output and activations of a tap of one model against those of each kind of layer."""

    def check(output, activations, kinds, kernels, x):
        """Output {layer: array}, activations by name, {layer: kind}, {layer: kernel}, inputs."""
        expected = {}
        for layer, kind in kinds.items():
            values = activations_of(kind, np.asarray(kernels[layer]), np.asarray(x))
            np.testing.assert_allclose(
                output[layer], output_of(kind, values), atol=1e-5, err_msg=layer
            )
            expected |= {layer + suffix: value for suffix, value in values.items()}
        assert activations.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(activations[name], value, atol=1e-5, err_msg=name)

    return check
