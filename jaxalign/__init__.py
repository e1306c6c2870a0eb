"""Representation alignment in JAX: how much of the target lies along the top singular directions of each layer."""

from jaxalign.accuracy import SpectrumInfo, spectrum_and_info
from jaxalign.alignment import aligned_rank, alignment, alignment_area, alignment_curve, predicted_convergence
from jaxalign.baselines import Permuted, bootstrap_curves, permutation_curves, permutation_null, random_label_curve
from jaxalign.batched import spectra
from jaxalign.capture import Tap, reap, tag, tap
from jaxalign.losses import label_alignment_loss, label_alignment_weights, smooth_alignment
from jaxalign.moments import Basis, Moments, basis, moments
from jaxalign.quadrature import Quadrature, quadrature, quadrature_bounds
from jaxalign.representation import WidthWarning, encode_targets, prepare
from jaxalign.sharded import sharded, sum_over_processes
from jaxalign.spectrum import Spectrum, spectrum
from jaxalign.streaming import accumulate, stream_spectrum
from jaxalign.training import (
    BatchProbe,
    Checkpoints,
    History,
    Observed,
    Probe,
    Record,
    RunWriter,
    TensorBoardWriter,
    TrainState,
    WandbWriter,
    Writer,
    batch_probe,
    fit,
    observe,
    probe,
    read_history,
)
from jaxalign.triangular import Triangle, triangle

__all__ = [
    "Basis",
    "BatchProbe",
    "Checkpoints",
    "History",
    "Moments",
    "Observed",
    "Permuted",
    "Probe",
    "Quadrature",
    "Record",
    "RunWriter",
    "Spectrum",
    "SpectrumInfo",
    "Tap",
    "TensorBoardWriter",
    "TrainState",
    "Triangle",
    "WandbWriter",
    "WidthWarning",
    "Writer",
    "accumulate",
    "aligned_rank",
    "alignment",
    "alignment_area",
    "alignment_curve",
    "basis",
    "batch_probe",
    "bootstrap_curves",
    "encode_targets",
    "fit",
    "label_alignment_loss",
    "label_alignment_weights",
    "moments",
    "observe",
    "permutation_curves",
    "permutation_null",
    "predicted_convergence",
    "prepare",
    "probe",
    "quadrature",
    "quadrature_bounds",
    "random_label_curve",
    "read_history",
    "reap",
    "sharded",
    "smooth_alignment",
    "spectra",
    "spectrum",
    "spectrum_and_info",
    "stream_spectrum",
    "sum_over_processes",
    "tag",
    "tap",
    "triangle",
]
