"""Matrices to race on, ill-conditioned on purpose, and their spectra by float64 LAPACK."""

import re
from dataclasses import dataclass

import numpy as np

CONDITION = 1e6
TARGETS = 10

_BLOCK = 1 << 24  # numbers in a block of rows


@dataclass(frozen=True)
class Shape:
    """``batch`` matrices (n, d), with TARGETS target columns each; batch 0 means one matrix that is
    no batch.
    """

    n: int
    d: int
    batch: int = 0

    @staticmethod
    def parse(text: str) -> "Shape":
        """From "1000x129" or "64x1000x129".

        Raises:
          ValueError: anything else.
        """
        if not re.fullmatch(r"([1-9]\d*x){1,2}[1-9]\d*", text):
            raise ValueError(
                f"a shape is written as 1000x129 (rows x columns) or 64x1000x129 (a batch of them), found {text!r}"
            )
        *batch, n, d = map(int, text.split("x"))
        if n < d:
            raise ValueError(
                f"shapes must have at least as many rows as columns, found {text!r}; exchange the two"
            )
        return Shape(n, d, *batch)

    def __str__(self) -> str:
        return "×".join(str(m) for m in (self.batch, self.n, self.d) if m)

    @property
    def count(self) -> int:
        """How many matrices."""
        return self.batch or 1

    @property
    def bytes(self) -> int:
        """Of Φ in float32."""
        return 4 * self.count * self.n * self.d


def example(shape: Shape, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Float32 Φ (..., n, d) of singular values from 1 to 1e-6, evenly in the logarithm, and
    Gaussian Y (..., n, k).
    """
    if shape.batch:
        each = [example(Shape(shape.n, shape.d), seed + i) for i in range(shape.batch)]
        return np.stack([x for x, _ in each]), np.stack([y for _, y in each])
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((shape.n, shape.d), dtype=np.float32)
    gram = sum(block.T @ block for block in _blocks(features))
    right = np.linalg.qr(rng.standard_normal((shape.d, shape.d)))[0]
    # Gaussian columns are well conditioned, so their Gram matrix makes them orthonormal to many
    # digits.
    mixing = (
        np.linalg.inv(np.linalg.cholesky(gram)).T
        * np.geomspace(1, 1 / CONDITION, shape.d)
        @ right.T
    )
    for start, block in zip(_starts(features), _blocks(features), strict=False):
        features[start : start + len(block)] = block @ mixing
    return features, rng.standard_normal((shape.n, TARGETS), dtype=np.float32)


def exact(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(σ (..., d), energy (..., d, k)) by Householder QR, block by block, and the SVD of R, all in
    float64.
    """
    if features.ndim == 3:
        each = [exact(x, y) for x, y in zip(features, targets, strict=True)]
        return np.stack([sigma for sigma, _ in each]), np.stack([energy for _, energy in each])
    d = features.shape[1]
    reduced = np.empty((0, d + targets.shape[1]))
    for x, y in zip(_blocks(features), _blocks(targets, features), strict=True):
        reduced = np.asarray(np.linalg.qr(np.vstack([reduced, np.hstack([x, y])]), mode="r"))
    left, sigma, _ = np.linalg.svd(reduced[:d, :d])
    return sigma, (left.T @ reduced[:d, d:]) ** 2


@dataclass(frozen=True)
class Errors:
    """How far an answer is from the exact one; of a batch, the worst of it.

    Attributes:
      sigma_min: |σ_d/exact − 1| of the smallest singular value; None for an answer of another
        number of them.
      curve: largest |A(τ) − exact|/‖y‖² over thresholds between singular values.
      area: largest relative error of ∫A dτ = Σ σ_i e_i, of directions over the rank tolerance of
        float32 data.
    """

    sigma_min: float | None
    curve: float
    area: float


def errors(
    found: tuple[np.ndarray, np.ndarray], answer: tuple[np.ndarray, np.ndarray], targets: np.ndarray
) -> Errors:
    """The errors of ``found`` (σ (..., r), energy (..., r, k)), both descending."""
    if targets.ndim == 3:
        each = [
            errors(f, a, y)
            for f, a, y in zip(
                zip(*found, strict=True), zip(*answer, strict=True), targets, strict=True
            )
        ]
        sigma_min = None if each[0].sigma_min is None else max(e.sigma_min or 0.0 for e in each)
        return Errors(sigma_min, max(e.curve for e in each), max(e.area for e in each))
    (sigma, energy), (exact_sigma, exact_energy) = (
        (np.asarray(s, float), np.asarray(e, float)) for s, e in (found, answer)
    )
    # Below the rank tolerance there is nothing to agree on.
    tolerance = exact_sigma[0] * np.finfo(np.float32).eps * max(len(targets), len(exact_sigma))
    known = exact_sigma[exact_sigma > tolerance]
    area, exact_area = (
        (s * (s > tolerance)) @ e for s, e in ((sigma, energy), (exact_sigma, exact_energy))
    )
    thresholds = np.append(np.sqrt(known[:-1] * known[1:]), known[-1] * (1 - 1e-4))
    gap = _curve(sigma, energy, thresholds) - _curve(exact_sigma, exact_energy, thresholds)
    return Errors(
        float(abs(sigma[-1] / exact_sigma[-1] - 1)) if len(sigma) == len(exact_sigma) else None,
        float(np.max(np.abs(gap) / np.sum(targets.astype(float) ** 2, axis=0))),
        float(np.max(np.abs(area / exact_area - 1))),
    )


def _curve(sigma: np.ndarray, energy: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    above = np.searchsorted(-sigma, -thresholds, side="right")
    return np.concatenate([np.zeros_like(energy[:1]), np.cumsum(energy, axis=0)])[above]


def _starts(rows: np.ndarray) -> range:
    return range(0, len(rows), max(_BLOCK // rows.shape[1], 1))


def _blocks(rows: np.ndarray, like: np.ndarray | None = None):
    starts = _starts(rows if like is None else like)
    return (rows[i : i + starts.step].astype(float) for i in starts)
