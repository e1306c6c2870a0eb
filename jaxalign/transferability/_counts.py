"""Scores from the classes of a source task: LEEP and NCE."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_real_floats, require_finite, require_matrix
from jaxalign._core.known import is_concrete
from jaxalign._core.linalg import matmul
from jaxalign._features import class_indicators
from jaxalign._features.labels import as_labels


def leep(
    probabilities: ArrayLike, labels: ArrayLike, *, classes: Sequence | None = None
) -> Float[Array, ""]:
    """Mean over rows of log Σ_z P(y_i|z) θ_iz, P(y|z) = Σ_i θ_iz [y_i = y]/Σ_i θ_iz: the log
    likelihood of the labels, predicted by way of the source classes z.

    Labels that have nothing to do with the source have about −H(y), the negative entropy of the
    labels; ``permuted_scores`` tells how much more by chance.

    Args:
      probabilities: (n, s) θ, what the source model gives its s classes for each row.
      labels: (n,) classes of the target task.
      classes: all of them; required inside ``jit``.

    Returns:
      () in nats per row, at most 0.

    Raises:
      ValueError: probabilities that are negative or whose rows do not sum to 1 (eager calls), as
        logits do: pass their softmax; another n than the labels.
      TypeError: probabilities or labels of another kind.

    Example:
      >>> import jaxalign as ja
      >>> float(ja.transferability.leep([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], ["a", "a", "b"]))
      0.0

    Source: Nguyen et al. (ICML 2020).
    """
    given = as_numbers(probabilities, "probabilities")
    theta = as_real_floats(given, "probabilities")
    require_matrix(theta, "probabilities", "s")
    require_finite(theta, "probabilities")
    _require_distributions(theta, given.dtype)
    indicators = class_indicators(labels, classes)
    _require_same_rows(theta, indicators, "probabilities")
    return on_automatic_axes(_leep, theta, indicators)


def nce(
    source_labels: ArrayLike,
    labels: ArrayLike,
    *,
    source_classes: Sequence | None = None,
    classes: Sequence | None = None,
) -> Float[Array, ""]:
    """−H(y|z) = Σ_{z,y} p(z, y) log p(y|z): the negative conditional entropy of the labels, given
    those of the source task.

    By chance it is about −H(y), from above.

    Args:
      source_labels: (n,) classes z that the source task gives the rows.
      labels: (n,) classes of the target task.
      source_classes, classes: all of them; required inside ``jit``.

    Returns:
      () in nats per row, at most 0.

    Raises:
      ValueError: different n; labels as in ``encode_targets``.
      TypeError: labels of another kind.

    Example:
      >>> import jaxalign as ja
      >>> round(float(ja.transferability.nce([0, 0, 1, 1], ["a", "b", "a", "b"])), 3)  # −log 2
      -0.693

    Source: Tran, Nguyen, Hassner (ICCV 2019).
    """
    source = class_indicators(as_labels(source_labels, "source_labels"), source_classes)
    indicators = class_indicators(labels, classes)
    _require_same_rows(source, indicators, "source_labels")
    return on_automatic_axes(_leep, source, indicators)


@jax.jit
def _leep(theta: Float[Array, "n s"], indicators: Float[Array, "n c"]) -> Float[Array, ""]:
    member = indicators.astype(theta.dtype)
    joint = matmul(theta.T, member)
    # A source class that no row has predicts nothing, and is asked for nothing.
    weights = jnp.sum(theta, axis=0)[:, None]
    given_source = joint / jnp.where(weights > 0, weights, 1)
    likelihood = jnp.sum(matmul(theta, given_source) * member, axis=1)
    return jnp.mean(jnp.log(likelihood))


def _require_distributions(theta: Float[Array, "n s"], given: np.dtype) -> None:
    if not is_concrete(theta):
        return
    # Half precision rounds each probability, and with them their sum.
    rounding = float(jnp.finfo(given).eps) if jnp.issubdtype(given, jnp.floating) else 0.0
    values = np.asarray(theta, np.float64)
    sums = values.sum(axis=1)
    wrong = np.flatnonzero((np.abs(sums - 1) > max(1e-3, rounding)) | (values < 0).any(axis=1))
    if len(wrong):
        raise ValueError(
            "probabilities must be at least 0 and sum to 1 in each row, found "
            f"{len(wrong)} rows that do not (row {wrong[0]} sums to {sums[wrong[0]]:.6g}); "
            "pass the softmax of logits"
        )


def _require_same_rows(first: Array, indicators: Array, name: str) -> None:
    if len(first) != len(indicators):
        raise ValueError(
            f"{name} and labels must have as many rows, found {len(first)} and {len(indicators)}"
        )
