"""Two representations of the same rows: how alike they are, and what chance would give."""

from jaxalign.similarity._cka import linear_cka
from jaxalign.similarity._estimators import SimilarityWarning
from jaxalign.similarity._kernels import cka, hsic
from jaxalign.similarity._pair_moments import PairMoments, pair_moments

__all__ = ["PairMoments", "SimilarityWarning", "cka", "hsic", "linear_cka", "pair_moments"]
