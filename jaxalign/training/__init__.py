"""A training loop that measures alignment at every step."""

from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._convolutions import fast_convolutions
from jaxalign.training._fit import fit
from jaxalign.training._objective import classification, logistic, squared_error
from jaxalign.training._optimizer import one_of
from jaxalign.training._process_local import ProcessLocal
from jaxalign.training._progress import ProgressBar
from jaxalign.training._state import TrainState

__all__ = [
    "Checkpoints",
    "ProcessLocal",
    "ProgressBar",
    "TrainState",
    "classification",
    "fast_convolutions",
    "fit",
    "logistic",
    "one_of",
    "squared_error",
]
