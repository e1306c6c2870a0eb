"""What ``compare`` is given, checked before anything is computed."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import require_finite, require_matrix, require_no_labels
from jaxalign._core.kinds import (
    as_count,
    require_flag,
    require_function,
    require_kind,
    require_number,
)
from jaxalign._features.labels import are_codes
from jaxalign.comparison._alignment import Targets
from jaxalign.comparison._layers import LayerSource
from jaxalign.comparison._measures import Measure

# jax has no keys of larger seeds.
_SEEDS = 2**63


def require_same_rows(first: LayerSource, second: LayerSource, measure: Measure) -> None:
    """Raise unless both sides are layers of as many rows, enough for the measure."""
    for side, name in ((first, "first"), (second, "second")):
        require_kind(side, LayerSource, name, "pass ModelLayers or SavedLayers")
    n = first.num_samples
    if second.num_samples != n:
        raise ValueError(
            "both sides must be of the same rows, in the same order, "
            f"found {n:,} rows in the first and {second.num_samples:,} in the second"
        )
    if n < measure.least:
        raise ValueError(f"{measure.name} needs at least {measure.least} rows, found {n}")


def require_common_names(intervals: str, first: LayerSource, second: LayerSource) -> None:
    """Raise for intervals of layers of one name where no layer of both sides has the same."""
    if intervals == "named" and not any(name in second.shapes for name in first.shapes):
        raise ValueError(
            "intervals='named' is for layers of one name, found none in "
            f"{', '.join(first.shapes)} and {', '.join(second.shapes)}; pass intervals='best'"
        )


def checked_targets(targets: ArrayLike | None, n: int) -> Targets | None:
    """Y (n, k) of any container; (n,) floats become one column."""
    if targets is None:
        return None
    y = np.asarray(as_numbers(targets, "targets"))
    require_no_labels(y)
    if y.ndim == 1:
        y = y[:, None]
    require_matrix(y, "targets", "k")
    if len(y) != n:
        raise ValueError(f"targets must have a row for each sample, found {len(y)} of {n:,}")
    require_finite(y, "targets")
    return y


def checked_centering(centered: Any, targets: Targets | None) -> bool:
    """Whether means are subtracted: as asked, else by the kind of the targets.

    Raises:
      TypeError: neither True nor False.
      ValueError: targets that are then 0, with which nothing is aligned.
    """
    if centered is None:
        centered = targets is not None and not are_codes(targets, "targets")
    require_flag(centered, "centered")
    if targets is None:
        return bool(centered)
    if centered and (targets == targets[:1]).all():
        raise ValueError("targets are constant, so about their mean they are 0; pass other targets")
    if not targets.any():
        raise ValueError("targets are all 0; pass other targets")
    return bool(centered)


def checked_seed(seed: Any) -> int:
    """A seed of numpy and of jax."""
    number = as_count(seed, "seed", least=0)
    if number >= _SEEDS:
        raise ValueError(f"seed must be below 2**63, found {number}")
    return number


def require_settings(callback: Any, memory_limit: Any) -> None:
    """Raise unless a callback that is given is a function, and the limit a positive number."""
    if callback is not None:
        require_function(callback, "callback", "pass a function of (stage, done, total)")
    require_number(memory_limit, "memory_limit")
    if not memory_limit > 0:
        raise ValueError(f"memory_limit must be a positive number of bytes, found {memory_limit}")
