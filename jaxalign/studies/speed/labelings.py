"""All even splits of ten classes, and the test that takes the classes as the unit.

The 126 splits share ten classes, so they are not independent of each other. If alignment has
nothing to do with an outcome, it does not matter which class is which in one of the two: a
permutation of the classes carries every split to another one.
"""

from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import stats

from jaxalign.statistics import Estimate

CLASSES = 10
# The half with the first class, so that no split is listed twice.
HALVES = tuple((0, *others) for others in combinations(range(1, CLASSES), CLASSES // 2 - 1))
SPLITS = tuple(" ".join(map(str, half)) for half in HALVES)
"""The names of the splits: the classes of the first half."""
_SIGNS = np.array([[1.0 if c in half else -1.0 for half in HALVES] for c in range(CLASSES)])


def targets(labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n splits"]:
    """±1 for every split, of the classes 0...9 of the samples."""
    return _SIGNS[labels]


class Relabelled(NamedTuple):
    """A rank correlation over splits, and what it is by chance.

    Attributes:
      value: Spearman's ρ, the mean over repetitions.
      null: |ρ| after random permutations of the classes in one of the two variables, falling.
    """

    value: float
    null: Float[np.ndarray, " draws"]

    @property
    def p(self) -> float:
        """Two-sided p-value of the permutation test."""
        # Rounding must not part a permutation that changes nothing from the value itself.
        as_large = np.count_nonzero(self.null >= abs(self.value) - 1e-9)
        return float(1 + as_large) / (1 + len(self.null))

    def interval(self, *, confidence: float) -> Estimate:
        """ρ ± the quantile of |ρ| by chance, over the classes.

        It leaves out 0 exactly where the test rejects at 1 − confidence.
        """
        rank = int((1 - confidence) * (1 + len(self.null)) + 1e-6)
        # Too few permutations cannot reject.
        width = 2.0
        if rank > 0:
            width = float(self.null[rank - 1]) + 1e-9
        low, high = np.clip([self.value - width, self.value + width], -1, 1)
        return Estimate(self.value, float(low), float(high), CLASSES)


def by_relabelling(x: ArrayLike, y: ArrayLike, *, draws: int) -> Relabelled:
    """Spearman's ρ of two variables of the splits, tested by permuting the classes.

    Args:
      x: (repetitions, splits), of one representation in each; their ρ are averaged, and a
        permutation of the classes is the same in all.
      y: (repetitions, splits).
      draws: random permutations of the classes.

    Source: the quadratic assignment procedure (Hubert and Schultz, British Journal of Mathematical
      and Statistical Psychology 1976), for splits in place of pairs.
    """
    a = _standard_ranks(x)
    b = _standard_ranks(y)
    # ρ after a permutation π is the sum over splits S of this at (S, π(S)).
    products = a.T @ b / len(a)
    permuted = products[np.arange(len(SPLITS)), _images(draws)].sum(axis=1)
    return Relabelled(float(np.trace(products)), -np.sort(-np.abs(permuted)))


@cache
def _images(draws: int) -> Int[np.ndarray, "draws splits"]:
    """The number of the split that a random permutation of the classes makes of each."""
    bits = 1 << np.arange(CLASSES)
    every = 2**CLASSES - 1
    number = np.empty(every + 1, np.int64)
    for i, half in enumerate(HALVES):
        mask = bits[list(half)].sum()
        number[[mask, every - mask]] = i
    permutations = np.random.default_rng(0).permuted(np.tile(bits, (draws, 1)), axis=1)
    return number[permutations @ (_SIGNS > 0).astype(np.int64)]


def _standard_ranks(values: ArrayLike) -> Float[np.ndarray, "repetitions splits"]:
    """Ranks of mean 0 and norm 1; 0 where all are the same, which has shown nothing."""
    ranks = stats.rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks / np.maximum(norms, 1e-9)
