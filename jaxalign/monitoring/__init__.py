"""Measuring inside any training loop: on a fixed set, on the training batches, or as an optax
transformation.
"""

from jaxalign.monitoring._alignment_measures import alignment_measures, curve
from jaxalign.monitoring._batch_monitor import BatchMonitor, batch_monitor
from jaxalign.monitoring._measures import Measure
from jaxalign.monitoring._monitor import Monitor, monitor
from jaxalign.monitoring._observe import Observed, observe
from jaxalign.monitoring._wrappers import (
    of_activations,
    of_features,
    of_moments,
    of_null,
    of_outputs,
    of_pair,
    of_quadrature,
    of_spectrum,
)

__all__ = [
    "BatchMonitor",
    "Measure",
    "Monitor",
    "Observed",
    "alignment_measures",
    "batch_monitor",
    "curve",
    "monitor",
    "observe",
    "of_activations",
    "of_features",
    "of_moments",
    "of_null",
    "of_outputs",
    "of_pair",
    "of_quadrature",
    "of_spectrum",
]
