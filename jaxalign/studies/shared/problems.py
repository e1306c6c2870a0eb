"""What the studies train on: real data that come along, or with scikit-learn, as inputs, labels and
targets.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._features import encode_targets
from jaxalign.data import cifar10, fashion_mnist
from jaxalign.training import classification

FASHION, DIGITS, DIABETES = "Fashion-MNIST", "digits", "diabetes"


class Problem(NamedTuple):
    """Data and what is to be learned of them.

    Attributes:
      name: for tables.
      inputs: (n, h, w, 1) images, or (n, p) features; float32.
      labels: (n,) classes 0, 1; or (n, 1) standardized floats.
      targets: (n, 1) float32: ±1, or the labels.
      objective: of ``fit``.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    objective: Callable[[Any, Array], tuple[Array, dict[str, Array]]]


def fashion_pair(a: int, b: int, n: int) -> Problem:
    """Two classes of the embedded Fashion-MNIST, n images, classes balanced."""
    images = fashion_mnist(classes=(a, b)).train.first(n)
    names = " against ".join(images.class_names)
    return _classes(f"Fashion-MNIST: {names}", images.inputs[..., None], images.labels)


def cifar_pair(a: int, b: int, n: int, folder: str | Path) -> Problem:
    """Two classes of a CIFAR-10 the user has, the first n images, classes balanced."""
    images = cifar10(folder, classes=(a, b)).train.first(n)
    return _classes(
        f"CIFAR-10: {' against '.join(images.class_names)}", images.inputs, images.labels
    )


def digits_parity(n: int) -> Problem:
    """scikit-learn's 8×8 digits, even against odd, the first n: two classes of five clusters each."""
    held = scikit("sklearn.datasets").load_digits()
    return _classes(
        "digits: even against odd", (held.images[:n, ..., None] - 8) / 8, held.target[:n] % 2
    )


def resized(problem: Problem, side: int) -> Problem:
    """The same images with side × side pixels, averaged where that is fewer, so that nothing
    aliases.
    """
    images = problem.inputs
    small = jax.image.resize(
        images, (len(images), side, side, images.shape[-1]), "linear", antialias=True
    )
    return problem._replace(inputs=np.asarray(small))


def diabetes() -> Problem:
    """scikit-learn's diabetes set: 442 patients, ten standardized features, the progression of the
    disease, standardized.
    """
    held = scikit("sklearn.datasets").load_diabetes()
    y = ((held.target - held.target.mean()) / held.target.std())[:, None].astype(np.float32)
    x = held.data / held.data.std(axis=0)
    return Problem("diabetes (regression)", x.astype(np.float32), y, y, squared_error)


def problem_named(name: object, n: int, side: int) -> Problem:
    """Pullover against coat of side × side pixels, digits even against odd, n of either; or
    diabetes, all of it.
    """
    if name == DIABETES:
        return diabetes()
    return digits_parity(n) if name == DIGITS else resized(fashion_pair(2, 4, n), side)


def squared_error(outputs: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
    """Half the mean squared error, and no metric."""
    return jnp.mean((outputs - labels) ** 2) / 2, {}


def scikit(name: str) -> ModuleType:
    """A module of scikit-learn or scikit-image, which only studies need.

    Raises:
      ModuleNotFoundError: the package is not installed; the message says what to type.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f'this study needs {name}; pip install "jaxalign[studies]"'
        ) from None


def _classes(name: str, inputs: np.ndarray, labels: np.ndarray) -> Problem:
    y = labels.astype(np.int32)
    return Problem(
        name,
        inputs.astype(np.float32),
        y,
        np.asarray(encode_targets(y, classes=(0, 1))),
        classification,
    )
