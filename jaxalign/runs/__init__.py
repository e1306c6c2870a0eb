"""What a run logged: in memory, in a folder, and in the services that show it."""

from jaxalign.runs._folder import read_config, read_result
from jaxalign.runs._history import History, is_input
from jaxalign.runs._read import read_history
from jaxalign.runs._run_writer import RunWriter
from jaxalign.runs._writers import (
    MetricWriter,
    MLflowWriter,
    TensorBoardWriter,
    TrackioWriter,
    WandbWriter,
    Writer,
)

__all__ = [
    "History",
    "MLflowWriter",
    "MetricWriter",
    "RunWriter",
    "TensorBoardWriter",
    "TrackioWriter",
    "WandbWriter",
    "Writer",
    "is_input",
    "read_config",
    "read_history",
    "read_result",
]
