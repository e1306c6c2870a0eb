"""Hostile numbers: every operation on every input gives the value of numpy's float64 or an error
of ours that names the argument; never another library's error, never a wrong value.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import jaxalign as ja

ROWS = 12
PHI = np.random.default_rng(0).standard_normal((ROWS, 3))
Y = np.random.default_rng(1).standard_normal((ROWS, 2))
TOLERANCE = 2e-5


def label_spectrum(phi, y, centered=False):
    if centered:
        phi = phi - phi.mean(axis=0)
        y = y - y.mean(axis=0)
    left, sigma, _ = np.linalg.svd(phi, full_matrices=False)
    return sigma, (left.T @ y) ** 2, np.sum(y**2, axis=0)


def about_mean(phi, y):
    return label_spectrum(phi, y, centered=True)


def parts(spectrum):
    return spectrum.singular_values, spectrum.energy, spectrum.total


def unit(phi, _):
    # Scaled first, so that no square overflows.
    scaled = phi / np.abs(phi).max(axis=1, keepdims=True)
    return (scaled / np.linalg.norm(scaled, axis=1, keepdims=True),)


OPERATIONS = {
    "spectrum": (lambda x, y: parts(ja.spectrum(x, y)), label_spectrum),
    "spectrum about the mean": (lambda x, y: parts(ja.spectrum(x, y, centered=True)), about_mean),
    "spectra": (lambda x, y: parts(ja.spectra({"layer": x}, y)["layer"]), label_spectrum),
    "moments": (lambda x, y: parts(ja.spectrum(ja.moments(x, y))), label_spectrum),
    "moments about the mean": (
        lambda x, y: parts(ja.spectrum(ja.moments(x, y), centered=True)),
        about_mean,
    ),
    "triangle": (lambda x, y: parts(ja.spectrum(ja.triangle(x, y))), label_spectrum),
    "permutation_null": (
        lambda x, y: (parts(ja.permutation_null(x, y))[0],),
        lambda phi, y: label_spectrum(phi, y)[:1],
    ),
    "quadrature": (
        lambda x, y: (ja.quadrature(x, y, order=2).spectrum.total,),
        lambda phi, y: (np.sum(y**2, axis=0),),
    ),
    "pool": (lambda x, _: (ja.pool(x),), lambda phi, _: (phi,)),
    "unit_rows": (lambda x, _: (ja.unit_rows(x, bias=False),), unit),
    "encode_targets": (lambda _, y: (ja.encode_targets(y),), lambda _, y: (y,)),
}

CONTAINERS = {
    "array": np.asarray,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "list": lambda x: x.tolist(),
    "objects": lambda x: x.astype(object),
    "frame": pd.DataFrame,
}
SIZES = {"features": (1e-60, 1e-27, 1e-10, 1.0, 1e10, 1e24, 1e40), "targets": (1e-27, 1.0, 1e24)}
OFFSETS = (0.0, 1e4, 1e8)

NO_NUMBERS = {
    "None": lambda x: None,
    "a dict": lambda x: dict(enumerate(x)),
    "text": lambda x: x.astype(str),
    "text among objects": lambda x: np.where(x > 0, x, "a").astype(object),
    "dates": lambda x: np.zeros(x.shape, "datetime64[s]"),
    "durations": lambda x: np.ones(x.shape, "timedelta64[s]"),
    "complex": lambda x: x + 1j,
    "a ragged list": lambda x: [*x.tolist()[:-1], [1.0]],
    "masked values": lambda x: np.ma.array(x, mask=x > 1),
    "missing values": lambda x: pd.DataFrame(x).where(x > 0),
    "NaN": lambda x: np.where(x > 1, np.nan, x),
    "infinity": lambda x: np.where(x > 1, np.inf, x),
    "sparse": lambda x: pytest.importorskip("scipy.sparse").csr_array(x),
    "no rows": lambda x: x[:0],
    "no columns": lambda x: x[:, :0],
    "a cube": lambda x: x[None, None],
    "decimals beyond float64": lambda x: [[Decimal("1e400")] * x.shape[1]] * ROWS,
    "a function": lambda x: len,
    "records": lambda x: np.zeros(ROWS, [("a", float), ("b", int)]),
    "a random key": lambda x: jax.random.split(jax.random.key(0), ROWS),
}
# What an operation reads as something else, with good reason.
ALLOWED = {
    ("pool", "a cube"),
    ("encode_targets", "text"),
    ("encode_targets", "decimals beyond float64"),
}


class Case(NamedTuple):
    operation: str
    name: str
    features: Any
    targets: Any
    exact: tuple[np.ndarray, np.ndarray] | None  # None where it must be refused


def cases() -> Iterator[Case]:
    for operation in OPERATIONS:
        for size, target_size, offset in product(SIZES["features"], SIZES["targets"], OFFSETS):
            exact = (PHI + offset) * size, (Y + offset) * target_size
            yield Case(operation, f"{size} {target_size} {offset}", *exact, exact)
        for name, container in CONTAINERS.items():
            for values, targets in ((PHI, Y), (np.arange(36).reshape(12, 3) ** 7, Y)):
                exact = values.astype(float), targets
                yield Case(operation, name, container(values), container(targets), exact)
        for dtype, bits in product(("u4", "i8", "u8"), (20, 25, 30, 40, 62)):
            largest = min(2**bits, np.iinfo(dtype).max)
            whole = [(np.abs(x) / np.abs(x).max() * largest).astype(dtype) for x in (PHI, Y)]
            targets = whole[1].astype(float)
            yield Case(operation, f"{dtype} {bits}", whole[0], targets, (whole[0] * 1.0, targets))
        for name, hostile in NO_NUMBERS.items():
            if (operation, name) in ALLOWED:
                continue
            if operation != "encode_targets":
                yield Case(operation, f"features: {name}", hostile(PHI), Y, None)
            if operation not in ("pool", "unit_rows"):
                yield Case(operation, f"targets: {name}", PHI, hostile(Y), None)


def outcome(case: Case) -> str:
    """What a case comes to: right, refused, or what is wrong with it."""
    call, reference = OPERATIONS[case.operation]
    try:
        found = [np.asarray(x, np.float64) for x in call(case.features, case.targets)]
    except (ValueError, TypeError) as error:
        names = any(name in str(error) for name in ("features", "targets", "activations", "labels"))
        return "refused" if names else f"foreign {type(error).__name__}: {error}"
    except Exception as error:
        return f"foreign {type(error).__name__}: {error}"
    if case.exact is None:
        return "silent: not refused"
    with np.errstate(all="ignore"):
        expected = reference(*case.exact)
    for ours, theirs in zip(found, expected, strict=True):
        # σ as shares of σ_1, energies and norms as shares of the largest.
        scale = np.max(np.abs(theirs))
        if ours.shape != theirs.shape or not np.allclose(
            ours / scale, theirs / scale, atol=TOLERANCE
        ):
            return "silent: wrong"
    return "right"


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_hostile_numbers_are_right_or_refused(operation):
    outcomes = {case.name: outcome(case) for case in cases() if case.operation == operation}
    wrong = {
        name: result for name, result in outcomes.items() if result not in ("right", "refused")
    }
    assert not wrong
    counts = Counter(outcomes.values())
    assert counts["right"] >= 30


def test_arrays_on_a_device_are_hostile_too():
    for x in (jnp.full((3, 2), 3e38), jnp.full((3, 2), 1e-30)):
        assert np.allclose(ja.unit_rows(x, bias=False), 0.5**0.5, atol=1e-6)
    with pytest.raises(TypeError, match="activations must be real"):
        ja.pool(jnp.ones((3, 2), jnp.complex64))
