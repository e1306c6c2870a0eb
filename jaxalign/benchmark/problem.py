"""Ill-conditioned matrices to race on, their spectra by float64 LAPACK, and errors of answers."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from jaxalign._spectrum.routes.table import rank_tolerance

CONDITION = 1e6
TARGETS = 10

# Numbers in a block of rows: large matrices become float64 block by block.
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Shape:
    """``batch`` matrices (n, d) with TARGETS targets each; batch 0 is one matrix without batch."""

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
                "a shape is written as 1000x129 (rows x columns) or 64x1000x129 (a batch of them), "
                f"found {text!r}"
            )
        *batch, n, d = map(int, text.split("x"))
        if n < d:
            raise ValueError(
                f"shapes must have at least as many rows as columns, found {text!r}; "
                "exchange the two"
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
        """Size of Φ in float32."""
        return 4 * self.count * self.n * self.d


def example(
    shape: Shape, seed: int = 0
) -> tuple[Float32[np.ndarray, "*batch n d"], Float32[np.ndarray, "*batch n k"]]:
    """Φ with singular values from 1 to 1e-6, equally spaced in the logarithm, and Gaussian Y."""
    if shape.batch:
        each = [example(Shape(shape.n, shape.d), seed + i) for i in range(shape.batch)]
        return np.stack([x for x, _ in each]), np.stack([y for _, y in each])
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((shape.n, shape.d), dtype=np.float32)
    gram = sum(block.T @ block for block in _blocks(features))
    right = np.linalg.qr(rng.standard_normal((shape.d, shape.d)))[0]
    # Φ = G L⁻ᵀ diag(σ) Vᵀ with GᵀG = L Lᵀ: G L⁻ᵀ is orthonormal to many digits, as Gaussian columns
    # are well conditioned.
    whitening = np.linalg.inv(np.linalg.cholesky(gram)).T
    mixing = whitening * np.geomspace(1, 1 / CONDITION, shape.d) @ right.T
    for start, block in zip(_starts(features), _blocks(features), strict=False):
        features[start : start + len(block)] = block @ mixing
    return features, rng.standard_normal((shape.n, TARGETS), dtype=np.float32)


def exact(
    features: Float[np.ndarray, "*batch n d"], targets: Float[np.ndarray, "*batch n k"]
) -> tuple[Float64[np.ndarray, "*batch d"], Float64[np.ndarray, "*batch d k"]]:
    """(σ, energy) by Householder QR, block by block, and the SVD of R, all in float64."""
    if features.ndim == 3:
        each = [exact(x, y) for x, y in zip(features, targets, strict=True)]
        return np.stack([sigma for sigma, _ in each]), np.stack([energy for _, energy in each])
    d = features.shape[1]
    reduced = np.empty((0, d + targets.shape[1]))
    for x, y in zip(_blocks(features), _blocks(targets, features), strict=True):
        reduced = np.asarray(np.linalg.qr(np.vstack([reduced, np.hstack([x, y])]), mode="r"))
    # [Φ Y] = Q R: the leading block of R has Φ's singular values, and the block beside it is QᵀY.
    left, sigma, _ = np.linalg.svd(reduced[:d, :d])
    return sigma, (left.T @ reduced[:d, d:]) ** 2


@dataclass(frozen=True)
class Errors:
    """The errors of an answer; for a batch, the largest ones.

    Attributes:
      sigma_min: |σ_d/exact − 1| of the smallest singular value; None for an answer with another
        number of singular values.
      curve: largest |A(τ) − exact|/‖y‖² over thresholds between singular values.
      area: largest relative error of ∫A dτ = Σ σ_i e_i, over directions above the rank tolerance of
        float32 data.
    """

    sigma_min: float | None
    curve: float
    area: float


def errors(
    answer: tuple[np.ndarray, np.ndarray],
    reference: tuple[np.ndarray, np.ndarray],
    targets: Float[np.ndarray, "*batch n k"],
) -> Errors:
    """The errors of ``answer``, (σ (..., r), energy (..., r, k)), descending in σ."""
    if targets.ndim == 3:
        answers = zip(*answer, strict=True)
        references = zip(*reference, strict=True)
        each = [errors(*one) for one in zip(answers, references, targets, strict=True)]
        smallest = [one.sigma_min for one in each if one.sigma_min is not None]
        return Errors(
            max(smallest, default=None),
            max(one.curve for one in each),
            max(one.area for one in each),
        )
    sigma, energy = (np.asarray(part, float) for part in answer)
    exact_sigma, exact_energy = (np.asarray(part, float) for part in reference)
    # Directions below the rank tolerance are rounding errors, in every solver others.
    size = np.array(max(len(targets), len(exact_sigma)))
    tolerance = exact_sigma[0] * rank_tolerance(np.float32, size)
    known = exact_sigma[exact_sigma > tolerance]
    area = (sigma * (sigma > tolerance)) @ energy
    exact_area = (exact_sigma * (exact_sigma > tolerance)) @ exact_energy
    # Thresholds half-way between singular values in the logarithm, where A(τ) is flat.
    thresholds = np.append(np.sqrt(known[:-1] * known[1:]), known[-1] * (1 - 1e-4))
    gap = _curve(sigma, energy, thresholds) - _curve(exact_sigma, exact_energy, thresholds)
    sigma_min = None
    if len(sigma) == len(exact_sigma):
        sigma_min = float(abs(sigma[-1] / exact_sigma[-1] - 1))
    return Errors(
        sigma_min,
        curve=float(np.max(np.abs(gap) / np.sum(targets.astype(float) ** 2, axis=0))),
        area=float(np.max(np.abs(area / exact_area - 1))),
    )


def _curve(
    sigma: Float64[np.ndarray, " r"],
    energy: Float64[np.ndarray, "r k"],
    thresholds: Float64[np.ndarray, " t"],
) -> Float64[np.ndarray, "t k"]:
    """A(τ), the sum of the energies with σ ≥ τ."""
    # searchsorted needs ascending values.
    above = np.searchsorted(-sigma, -thresholds, side="right")
    return np.concatenate([np.zeros_like(energy[:1]), np.cumsum(energy, axis=0)])[above]


def _starts(rows: np.ndarray) -> range:
    return range(0, len(rows), max(_BLOCK // rows.shape[1], 1))


def _blocks(rows: np.ndarray, like: np.ndarray | None = None):
    """Float64 blocks of rows, as many in each as in the blocks of ``like``."""
    starts = _starts(rows if like is None else like)
    return (rows[i : i + starts.step].astype(float) for i in starts)
