"""The geometry of one representation: how many directions it uses, and how its classes lie."""

from jaxalign.geometry._effective_rank import (
    effective_rank,
    participation_ratio,
    rankme,
    spectral_entropy,
    stable_rank,
)
from jaxalign.geometry._lidar import lidar
from jaxalign.geometry._neural_collapse import NeuralCollapse, neural_collapse
from jaxalign.geometry._power_law import PowerLaw, alpha_req
from jaxalign.geometry._two_nn import two_nn

__all__ = [
    "NeuralCollapse",
    "PowerLaw",
    "alpha_req",
    "effective_rank",
    "lidar",
    "neural_collapse",
    "participation_ratio",
    "rankme",
    "spectral_entropy",
    "stable_rank",
    "two_nn",
]
