"""Representation alignment in JAX: how much of the target lies along the top singular directions of each layer."""

from jaxalign.alignment import aligned_rank, alignment, alignment_area, alignment_curve
from jaxalign.baselines import random_label_curve
from jaxalign.capture import Tap, tap
from jaxalign.moments import Basis, Moments, accumulate, basis, moments
from jaxalign.quadrature import Quadrature, quadrature, quadrature_bounds
from jaxalign.representation import encode_targets, prepare
from jaxalign.spectrum import Spectrum, spectrum
from jaxalign.training import History, Probe, Record, RunWriter, TrainState, fit, probe, read_history
from jaxalign.triangular import Triangle, triangle

__all__ = [
    "Basis",
    "History",
    "Moments",
    "Probe",
    "Quadrature",
    "Record",
    "RunWriter",
    "Spectrum",
    "Tap",
    "TrainState",
    "Triangle",
    "accumulate",
    "aligned_rank",
    "alignment",
    "alignment_area",
    "alignment_curve",
    "basis",
    "encode_targets",
    "fit",
    "moments",
    "prepare",
    "probe",
    "quadrature",
    "quadrature_bounds",
    "random_label_curve",
    "read_history",
    "spectrum",
    "tap",
    "triangle",
]
