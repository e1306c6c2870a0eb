"""From activations and labels to the two matrices of the measure: Φ (n, d) and Y (n, k)."""

from jaxalign._features.representation import (
    INPUT,
    OUTPUTS,
    Reduce,
    WidthWarning,
    pool,
    prepare,
    unit_rows,
)
from jaxalign._features.targets import class_indicators, encode_targets

__all__ = [
    "INPUT",
    "OUTPUTS",
    "Reduce",
    "WidthWarning",
    "class_indicators",
    "encode_targets",
    "pool",
    "prepare",
    "unit_rows",
]
