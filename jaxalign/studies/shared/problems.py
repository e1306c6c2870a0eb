"""The data that the studies train on, as inputs, labels and targets.

They come with the package or with scikit-learn; CIFAR-10, USPS, the ImageNet photos and the CT
slices have to be at hand.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import stats

from jaxalign._features import encode_targets
from jaxalign.data import balanced_rows, cifar10, fashion_mnist, read_csv
from jaxalign.data._images import crop_and_resize
from jaxalign.studies.framework.extra import require
from jaxalign.studies.shared.images import CLASSES, photos, usps_digits
from jaxalign.studies.shared.outside import CIFAR10, CT_SLICES, SOURCES, is_there, path_of
from jaxalign.training import classification

FASHION = "Fashion-MNIST"
DIGITS = "digits"
DIABETES = "diabetes"
OUTSIDE = (CIFAR10, CT_SLICES)
"""Those of the problems' data sets that have to be at hand; a problem of one has its name."""
REGRESSIONS = (DIABETES, CT_SLICES.name)
"""Problems of features, not of images."""
PROBLEMS = (FASHION, DIGITS, DIABETES, *(source.name for source in OUTSIDE))
ANIMALS = 398
"""So many of ImageNet's classes, the first ones, are animals."""


class Problem(NamedTuple):
    """Data and what is to be learned from them.

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

    @property
    def constant_loss(self) -> float:
        """The least loss of a network that gives every sample the same answer."""
        if self.objective is squared_error:
            return float(np.var(self.labels) / 2)
        share = self.labels.mean()
        return float(stats.entropy([share, 1 - share]))

    def take(self, rows: np.ndarray) -> "Problem":
        """These rows alone."""
        return self._replace(
            inputs=self.inputs[rows], labels=self.labels[rows], targets=self.targets[rows]
        )


class Parts(NamedTuple):
    """The rows of a problem that networks train on, and others, which they never see."""

    trained_on: Problem
    held_out: Problem


def fashion_pair(a: int, b: int, n: int) -> Problem:
    """Two classes of the embedded Fashion-MNIST, n images, classes balanced."""
    images = fashion_mnist(classes=(a, b)).train.first(n)
    names = " against ".join(images.class_names)
    return _classes(f"Fashion-MNIST: {names}", images.inputs[..., None], images.labels)


def fashion_groups(first: Sequence[int], second: Sequence[int]) -> Problem:
    """All images of the embedded Fashion-MNIST whose class is in one of two groups."""
    split = fashion_mnist(classes=(*first, *second))
    names = split.train.class_names
    groups = [", ".join(part) for part in (names[: len(first)], names[len(first) :])]
    inputs, labels = (
        np.concatenate([getattr(part, name) for part in split]) for name in ("inputs", "labels")
    )
    is_second = labels >= len(first)
    return _classes(f"Fashion-MNIST: {' against '.join(groups)}", inputs[..., None], is_second)


def cifar_pair(a: int, b: int, n: int, folder: str | Path) -> Problem:
    """Two classes of CIFAR-10 from the user's folder, the first n images, classes balanced."""
    images = cifar10(folder, classes=(a, b)).train.first(n)
    names = " against ".join(images.class_names)
    return _classes(f"CIFAR-10: {names}", images.inputs, images.labels)


def digits_parity(n: int) -> Problem:
    """The first n of scikit-learn's 8×8 digits, even against odd: classes of five clusters each."""
    digits = require("sklearn.datasets").load_digits()
    # Pixels are 0...16.
    images = (digits.images[:n, ..., None] - 8) / 8
    return _classes("digits: even against odd", images, digits.target[:n] % 2)


def usps_parity(file: str | Path) -> Problem:
    """All USPS digits, even against odd."""
    images, digits = usps_digits(file)
    return _classes("USPS: even against odd", _scaled(images[..., None]), digits % 2)


def photographed_animals(folder: str | Path, side: int) -> Problem:
    """One photo of each ImageNet class, side × side pixels: 398 animals against 602 objects."""
    classes = np.arange(CLASSES)
    images = np.stack([crop_and_resize(image, side) for image in photos(folder, classes)])
    return _classes("ImageNet photos: animal against object", _scaled(images), classes >= ANIMALS)


def breast_cancer() -> Problem:
    """scikit-learn's breast cancer set: 569 tumours, malignant against benign.

    The thirty features are standardized.
    """
    tumours = require("sklearn.datasets").load_breast_cancer()
    return _classes(
        "breast cancer: malignant against benign", stats.zscore(tumours.data), tumours.target
    )


def resized(problem: Problem, side: int) -> Problem:
    """The same images with side × side pixels, averaged where that is fewer, against aliasing."""
    n, _, _, channels = problem.inputs.shape
    shape = (n, side, side, channels)
    small = jax.image.resize(problem.inputs, shape, "linear", antialias=True)
    return problem._replace(inputs=np.asarray(small))


def diabetes() -> Problem:
    """scikit-learn's diabetes set: 442 patients, the progression of their disease.

    The ten features and the progression are standardized.
    """
    patients = require("sklearn.datasets").load_diabetes()
    inputs = patients.data / patients.data.std(axis=0)
    return _regression("diabetes (regression)", inputs, patients.target)


def ct_slices(file: str | Path) -> Problem:
    """681 CT slices of two patients: where along the body a slice lies, from 384 histogram values.

    The values are as published, the position is standardized.
    """
    table = read_csv(file, label="reference", ignore=("patientId",))
    return _regression("CT slices (regression)", table.inputs, np.asarray(table.labels))


def at_hand(names: Iterable[str]) -> list[str]:
    """Those of these problems whose data are there."""
    missing = {source.name for source in SOURCES if not is_there(source)}
    return [name for name in names if name not in missing]


def parts_named(name: object, n: int, side: int) -> Parts:
    """The problem of a name, in n rows to train on and at most as many held out.

    Args:
      name: pullover against coat, digits even against odd, diabetes, CIFAR-10's airplanes against
        automobiles, or CT slices.
      n: rows to train on, at most 90 % of all there are.
      side: pixels of the images, but for the digits, which have 8.

    Raises:
      ValueError: data from outside the package that are not at hand.
    """
    if name == DIABETES:
        return parted(diabetes(), n)
    if name == CT_SLICES.name:
        return parted(ct_slices(path_of(CT_SLICES)), n)
    if name == DIGITS:
        return parted(digits_parity(2 * n), n)
    if name == CIFAR10.name:
        return parted(resized(cifar_pair(0, 1, 2 * n, path_of(CIFAR10)), side), n)
    return parted(resized(fashion_groups((2,), (4,)), side), n)


def parted(problem: Problem, n: int) -> Parts:
    """The first n rows of a problem to train on, at most 90 % of them; the next ones, at most n,
    are held out.

    Rows keep the classes balanced. Those of a regression are drawn at random, always in the same
    way, since tables may be sorted; its targets are standardized with the rows to train on.
    """
    n = min(n, len(problem.labels) * 9 // 10)
    if problem.objective is not squared_error:
        first = balanced_rows(problem.labels, n)
        others = np.setdiff1d(np.arange(len(problem.labels)), first)
        next_ones = balanced_rows(problem.labels[others], min(n, len(others)))
        return Parts(problem.take(first), problem.take(others[next_ones]))
    order = np.random.default_rng(0).permutation(len(problem.labels))
    known = problem.labels[order[:n]]
    y = (problem.labels - known.mean()) / known.std()
    standardized = problem._replace(labels=y, targets=y)
    return Parts(standardized.take(order[:n]), standardized.take(order[n : 2 * n]))


def relabelled(problem: Problem, seed: int) -> Problem:
    """The same inputs with the labels of two classes in another order, drawn with a seed."""
    labels = np.random.default_rng(seed).permutation(problem.labels)
    targets = np.asarray(encode_targets(labels, classes=(0, 1)))
    return problem._replace(labels=labels, targets=targets)


def squared_error(outputs: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
    """Half the mean squared error, and no metric."""
    return jnp.mean((outputs - labels) ** 2) / 2, {}


def _scaled(pixels: np.ndarray) -> np.ndarray:
    """Bytes in [−1, 1]."""
    return pixels / np.float32(127.5) - 1


def _classes(name: str, inputs: np.ndarray, labels: np.ndarray) -> Problem:
    y = labels.astype(np.int32)
    targets = np.asarray(encode_targets(y, classes=(0, 1)))
    return Problem(name, inputs.astype(np.float32), y, targets, classification)


def _regression(name: str, inputs: np.ndarray, values: np.ndarray) -> Problem:
    y = (values - values.mean()) / values.std()
    targets = y[:, None].astype(np.float32)
    return Problem(name, inputs.astype(np.float32), targets, targets, squared_error)
