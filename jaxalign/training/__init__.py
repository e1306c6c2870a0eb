"""Training loops that measure alignment at every step, and what they log."""

from jaxalign.training.batch_probe import BatchProbe, batch_probe
from jaxalign.training.checkpoints import Checkpoints
from jaxalign.training.chunk import TrainState
from jaxalign.training.convolutions import fast_convolutions
from jaxalign.training.history import History
from jaxalign.training.loop import fit
from jaxalign.training.objective import classification
from jaxalign.training.observe import Observed, observe
from jaxalign.training.one_of import one_of
from jaxalign.training.probe import Probe, probe
from jaxalign.training.record import Record
from jaxalign.training.run_folder import RunWriter, read_history
from jaxalign.training.writers import TensorBoardWriter, WandbWriter, Writer

__all__ = [
    "BatchProbe",
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
    "batch_probe",
    "classification",
    "fast_convolutions",
    "fit",
    "observe",
    "one_of",
    "probe",
    "read_history",
]
