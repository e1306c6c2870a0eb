"""The data sets of the study, each with one thing that heads learn from it."""

from collections.abc import Callable

from jaxalign.studies.shared.outside import CIFAR10, CT_SLICES, PHOTOS, USPS, path_of
from jaxalign.studies.shared.problems import (
    DIABETES,
    DIGITS,
    FASHION,
    Problem,
    breast_cancer,
    cifar_pair,
    ct_slices,
    diabetes,
    digits_parity,
    fashion_groups,
    photographed_animals,
    usps_parity,
)

CANCER = "breast cancer"
LONG_SLEEVES = (2, 4, 6)
OTHERS = (0, 3)
DIGITS_THERE_ARE = 1797
CIFAR_ROWS = 3000
"""As many as Fashion-MNIST has in these classes."""
SIDE = 32
"""Pixels of the photos, as of CIFAR-10."""


def _clothes() -> Problem:
    return fashion_groups(LONG_SLEEVES, OTHERS)


def _digits() -> Problem:
    return digits_parity(DIGITS_THERE_ARE)


def _cifar() -> Problem:
    return cifar_pair(0, 1, CIFAR_ROWS, path_of(CIFAR10))


def _usps() -> Problem:
    return usps_parity(path_of(USPS))


def _photos() -> Problem:
    return photographed_animals(path_of(PHOTOS), SIDE)


def _slices() -> Problem:
    return ct_slices(path_of(CT_SLICES))


TASKS: dict[str, Callable[[], Problem]] = {
    FASHION: _clothes,
    DIGITS: _digits,
    CANCER: breast_cancer,
    DIABETES: diabetes,
    CIFAR10.name: _cifar,
    USPS.name: _usps,
    PHOTOS.name: _photos,
    CT_SLICES.name: _slices,
}
"""Long sleeves against others, digits even against odd, malignant tumours against benign ones, the
progression of diabetes; and, from outside the package, airplanes against automobiles, digits even
against odd, animals against objects, and where along the body a slice lies.
"""

FOR_PRETRAINED = (FASHION, DIGITS, CIFAR10.name, USPS.name)
"""Images that networks pretrained on ImageNet have not seen. They may have seen the photos."""
