"""Two representations of the same rows: how alike they are, and what chance would give."""

from jaxalign.similarity._cca import cca, mean_cca, mean_squared_cca, pwcca, svcca
from jaxalign.similarity._chance import mean_squared_cca_chance, mutual_knn_chance
from jaxalign.similarity._cka import linear_cka
from jaxalign.similarity._columns import Sampled, sampled_linear_cka
from jaxalign.similarity._estimators import SimilarityWarning
from jaxalign.similarity._grid import grid, grid_and_null
from jaxalign.similarity._grid_moments import GridMoments
from jaxalign.similarity._kernels import cka, hsic
from jaxalign.similarity._neighbours import cknna, mutual_knn
from jaxalign.similarity._null import Null, linear_cka_null
from jaxalign.similarity._pair_moments import PairMoments, pair_moments
from jaxalign.similarity._permutations import permutation_null
from jaxalign.similarity._procrustes import (
    angular_procrustes_distance,
    bures_similarity,
    procrustes_distance,
)
from jaxalign.similarity._rbf import rbf_cka
from jaxalign.similarity._rsa import rsa

__all__ = [
    "GridMoments",
    "Null",
    "PairMoments",
    "Sampled",
    "SimilarityWarning",
    "angular_procrustes_distance",
    "bures_similarity",
    "cca",
    "cka",
    "cknna",
    "grid",
    "grid_and_null",
    "hsic",
    "linear_cka",
    "linear_cka_null",
    "mean_cca",
    "mean_squared_cca",
    "mean_squared_cca_chance",
    "mutual_knn",
    "mutual_knn_chance",
    "pair_moments",
    "permutation_null",
    "procrustes_distance",
    "pwcca",
    "rbf_cka",
    "rsa",
    "sampled_linear_cka",
    "svcca",
]
