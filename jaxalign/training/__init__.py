"""Training loops that measure alignment at every step, and what they log."""

from jaxalign.training.checkpoints import Checkpoints
from jaxalign.training.history import History
from jaxalign.training.loop import TrainState, fit
from jaxalign.training.objective import classification
from jaxalign.training.observe import Observed, observe
from jaxalign.training.probe import Probe, Record, probe
from jaxalign.training.run_folder import RunWriter, read_history
from jaxalign.training.writers import TensorBoardWriter, WandbWriter, Writer

__all__ = [
    "Checkpoints",
    "History",
    "Observed",
    "Probe",
    "Record",
    "RunWriter",
    "TensorBoardWriter",
    "TrainState",
    "WandbWriter",
    "Writer",
    "classification",
    "fit",
    "observe",
    "probe",
    "read_history",
]
