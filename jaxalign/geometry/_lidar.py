"""LiDAR: how many directions tell objects apart."""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.kinds import require_number
from jaxalign._core.known import known_values
from jaxalign._core.linalg import centred, eigh, in_row_space, matmul
from jaxalign._features.labels import as_labels
from jaxalign.geometry._classes import class_sums, of_classes

_EPS = 1e-7


def lidar(
    features: ArrayLike,
    objects: ArrayLike,
    *,
    ridge: float = 1e-4,
    classes: Sequence | None = None,
) -> Float[Array | np.ndarray, ""]:
    """Exp H(p), p = λ/Σλ + 1e-7, of the eigenvalues λ of (S_W + δI)^{-1/2} S_B (S_W + δI)^{-1/2}:
    the effective rank of linear discriminant analysis, with objects for classes.

    S_B is the covariance of the objects' means, S_W the mean covariance of views of one object.

    What chance gives has no closed form: permute ``objects``.

    Args:
      features: (n, d) of several views of each object.
      objects: (n,) of which object a row is a view: labels, as of ``encode_targets``.
      ridge: δ, in the units of features².
      classes: all objects; required inside ``jit``.

    Returns:
      () from 1 to c − 1, c the number of objects.

    Raises:
      ValueError: features and labels that do not fit, not finite; an object without rows; δ not
        positive.
      TypeError: features or labels of another kind; when differentiated.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> corners = np.repeat(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), 2, axis=0)
      >>> views = corners + 0.01 * np.tile([[1.0, 1], [-1, -1]], (4, 1))
      >>> round(float(ja.geometry.lidar(views, [0, 0, 1, 1, 2, 2, 3, 3])), 1)
      1.8

    Source: Thilak et al. (ICLR 2024).
    """
    require_number(ridge, "ridge")
    known = known_values(ridge)
    if known is not None and not 0 < known < np.inf:
        raise ValueError(f"ridge must be positive, found {ridge}")
    names = as_labels(objects, "objects")
    return of_classes(partial(_lidar, ridge), features, names, classes)


def _lidar(
    ridge: float, rows: Float[Array, "n d"], indicators: Float[Array, "n c"]
) -> Float[Array, ""]:
    if rows.shape[1] > len(rows):
        # Where no row leads, S_W is 0 and S_B too: n × n instead of d × d.
        rows, _ = in_row_space(centred(rows))
    sums = class_sums(rows, indicators)
    d = rows.shape[1]
    # Every object counts as much, however many views it has.
    weight = jnp.sum(indicators / sums.counts[None, :], axis=1) / len(sums.counts)
    within = matmul((sums.within * weight[:, None]).T, sums.within)
    vectors, values = eigh(within + ridge * jnp.eye(d, dtype=rows.dtype))
    # The eigenvalues of S_W^{-1/2} S_B S_W^{-1/2} are those of the (c, c) matrix of the whitened
    # means.
    whitened = matmul(sums.means, vectors) / jnp.sqrt(values)[None, :]
    gram = matmul(whitened, whitened.T) / len(sums.counts)
    between = jnp.maximum(eigh(gram)[1], 0)
    p = between / jnp.sum(between) + _EPS
    return jnp.exp(-jnp.sum(p * jnp.log(p)))
