"""Two models layer by layer on the same rows: every measure of ``jaxalign.similarity`` of all
pairs, with what chance gives.
"""

from jaxalign.comparison._activations import Activations, read_activations, require_same_rows
from jaxalign.comparison._alignment import AreaDifference
from jaxalign.comparison._compare import Comparison, compare
from jaxalign.comparison._folder import Compared, read_comparison, save
from jaxalign.comparison._layers import LayerShape, ModelLayers, SavedLayers
from jaxalign.comparison._marks import not_above_chance
from jaxalign.comparison._measures import DEBIASED_CKA, Measure
from jaxalign.comparison._pairs import Chance, Pairs

__all__ = [
    "DEBIASED_CKA",
    "Activations",
    "AreaDifference",
    "Chance",
    "Compared",
    "Comparison",
    "LayerShape",
    "Measure",
    "ModelLayers",
    "Pairs",
    "SavedLayers",
    "compare",
    "not_above_chance",
    "read_activations",
    "read_comparison",
    "require_same_rows",
    "save",
]
