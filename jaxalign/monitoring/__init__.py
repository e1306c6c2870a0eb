"""Measuring inside any training loop: on a fixed set, on the training batches, or as an optax
transformation.
"""

from jaxalign.monitoring._batch_monitor import BatchMonitor, batch_monitor
from jaxalign.monitoring._monitor import Monitor, monitor
from jaxalign.monitoring._observe import Observed, observe
from jaxalign.monitoring._record import Record

__all__ = ["BatchMonitor", "Observed", "Monitor", "Record", "batch_monitor", "observe", "monitor"]
