"""Representation alignment in JAX: how much of the target lies along the top singular directions of
each layer.

Names are imported when they are first used, so that ``import jaxalign`` takes little longer than
``import jax``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxalign import (
        alignment,
        capture,
        comparison,
        data,
        geometry,
        inspection,
        learning,
        models,
        monitoring,
        runs,
        similarity,
        statistics,
        tangent,
        training,
        transferability,
    )
    from jaxalign._features import WidthWarning, encode_targets, pool, prepare, unit_rows
    from jaxalign._spectrum.batched import spectra
    from jaxalign._spectrum.bounds import quadrature_bounds
    from jaxalign._spectrum.moments import Basis, Moments, basis, moments
    from jaxalign._spectrum.processes import sum_over_processes
    from jaxalign._spectrum.quadrature import Quadrature, quadrature
    from jaxalign._spectrum.sharded import sharded
    from jaxalign._spectrum.spectrum import spectrum
    from jaxalign._spectrum.streaming import accumulate, stream_spectrum
    from jaxalign._spectrum.triangle import Triangle, triangle
    from jaxalign._spectrum.types import Spectrum
    from jaxalign.alignment import (
        Alignment,
        Permuted,
        aligned_rank,
        alignment_area,
        alignment_curve,
        bootstrap_curves,
        isotropic_null,
        label_alignment_loss,
        label_alignment_weights,
        measure,
        permutation_curves,
        permutation_null,
        smooth_alignment,
    )
    from jaxalign.capture import Tap, reap, tag, tap
    from jaxalign.learning import predicted_convergence
    from jaxalign.monitoring import (
        BatchMonitor,
        Monitor,
        Observed,
        batch_monitor,
        monitor,
        observe,
    )
    from jaxalign.runs import (
        History,
        RunWriter,
        TensorBoardWriter,
        WandbWriter,
        Writer,
        read_history,
    )
    from jaxalign.training import Checkpoints, TrainState, fit

__version__ = "0.1.0"

_NAMES = {
    "_features": ("WidthWarning", "encode_targets", "pool", "prepare", "unit_rows"),
    "_spectrum.batched": ("spectra",),
    "_spectrum.moments": ("Basis", "Moments", "basis", "moments"),
    "_spectrum.bounds": ("quadrature_bounds",),
    "_spectrum.processes": ("sum_over_processes",),
    "_spectrum.quadrature": ("Quadrature", "quadrature"),
    "_spectrum.sharded": ("sharded",),
    "_spectrum.spectrum": ("spectrum",),
    "_spectrum.streaming": ("accumulate", "stream_spectrum"),
    "_spectrum.triangle": ("Triangle", "triangle"),
    "_spectrum.types": ("Spectrum",),
    "alignment": (
        "Alignment",
        "Permuted",
        "aligned_rank",
        "alignment_area",
        "alignment_curve",
        "bootstrap_curves",
        "isotropic_null",
        "label_alignment_loss",
        "label_alignment_weights",
        "measure",
        "permutation_curves",
        "permutation_null",
        "smooth_alignment",
    ),
    "capture": ("Tap", "reap", "tag", "tap"),
    "learning": ("predicted_convergence",),
    "monitoring": (
        "BatchMonitor",
        "Observed",
        "Monitor",
        "batch_monitor",
        "observe",
        "monitor",
    ),
    "runs": ("History", "RunWriter", "TensorBoardWriter", "WandbWriter", "Writer", "read_history"),
    "training": ("Checkpoints", "TrainState", "fit"),
}
_NAMESPACES = (
    "alignment",
    "capture",
    "comparison",
    "data",
    "geometry",
    "inspection",
    "learning",
    "models",
    "monitoring",
    "runs",
    "similarity",
    "statistics",
    "tangent",
    "training",
    "transferability",
)
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_HOMES, *_NAMESPACES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return import_module(f"jaxalign.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxalign' has no attribute {name!r}")
    value = getattr(import_module(f"jaxalign.{_HOMES[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
