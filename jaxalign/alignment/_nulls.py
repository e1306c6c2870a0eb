"""What a measure would be worth by chance, and how it would vary over other samples."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import as_matrices
from jaxalign._spectrum.routes.table import route_for, significant
from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign.alignment._measures import alignment_curve


class Permuted(NamedTuple):
    """A curve, and those of targets whose rows were shuffled. A pytree; of a batch, ask for
    p-values and quantiles under vmap.

    Attributes:
      observed: (t, k) A(τ) of the targets as they are.
      null: (draws, t, k) A(τ) of the shuffled ones.
    """

    observed: Array
    null: Array

    @property
    def p_values(self) -> Array:
        """(t, k) (1 + #{null ≥ observed})/(1 + draws), one-sided: of alignment no greater than by
        chance.

        Each holds for its own τ. Values within rounding count as equal, so p is 1 where no
        shuffling changes anything (τ ≤ 0).
        """
        slack = 100 * jnp.finfo(self.null.dtype).eps * jnp.abs(self.observed)
        reached = jnp.sum(self.null >= self.observed - slack, axis=0)
        return (1 + reached).astype(self.null.dtype) / (1 + self.null.shape[0])

    def quantiles(self, q: ArrayLike) -> Array:
        """(..., t, k) quantiles q of the null at every threshold, for q of shape (...)."""
        return jnp.quantile(self.null, jnp.asarray(q, self.null.dtype), axis=0)


def random_label_curve(spectrum: Spectrum, thresholds: ArrayLike, samples: int) -> Array:
    """E[A(τ)] = ‖y‖²·#{i: σ_i ≥ τ}/n over targets y in uniformly random directions: the null of
    ``alignment_curve``.

    A target with a mean is no such thing where the features hold a constant: ``permutation_null``
    keeps the mean.

    Args:
      spectrum: of one representation, with k targets, of which only the norms are used.
      thresholds: (t,) values of τ.
      samples: n, the rows of the representation.

    Returns:
      (t, k), in the units of y².

    Raises:
      ValueError: as ``alignment_curve``.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.random_label_curve(s, [0.0, 2.0, 5.0], samples=4).ravel().tolist()
      [6.0, 1.5, 0.0]

    Source: ours; an identity of Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    share = (
        spectrum.total / samples + 0 * spectrum.singular_values[:, None]
    )  # (r, k); a NaN stays a NaN
    return alignment_curve(spectrum._replace(energy=share), thresholds)


def permutation_null(features: ArrayLike, targets: ArrayLike) -> Spectrum:
    """The exact mean of ``spectrum(features, targets[p])`` over all n! permutations p of the rows,
    from one decomposition:

        E(u_iᵀPy)² = m²(u_iᵀ1)² + ‖c‖²/(n − 1)·(1 − (u_iᵀ1)²/n),     m the mean of y, c = y − m.

    Curves and areas are linear in the energies, so ``alignment_curve`` and ``alignment_area`` of it
    are means too. Unlike ``random_label_curve`` it keeps the targets' mean, which a bias column
    holds at large τ whatever the labels are.

    Args:
      features: (n, d) Φ; for the null about the mean, subtract the means of both first: no
        permutation changes them.
      targets: (n, k) Y; (n,) floats count as one column.

    Returns:
      Spectrum: σ and ‖y‖², which permuting leaves alone, and the mean energy (r, k); 0 under the
        rank tolerance.

    Raises:
      ValueError: under two rows; as ``spectrum``.

    Example:
      >>> import jaxalign as ja
      >>> null = ja.permutation_null([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0])  # of y² 4, 1, 0 in turn
      >>> ja.alignment_curve(null, [0.0, 0.5, 2.0]).ravel().tolist()
      [5.0, 3.333..., 1.666...]

    Source: ours; the first two moments of sampling without replacement.
    """
    phi, y = _permutable(features, targets)
    n = len(phi)
    found = spectrum(phi, jnp.concatenate([y, jnp.ones((n, 1), y.dtype)], axis=1))
    mean, ones = y.mean(axis=0), found.energy[:, -1:]
    spread = jnp.sum((y - mean) ** 2, axis=0)
    kept = significant(found.singular_values, phi.dtype, max(phi.shape), route_for("auto", phi))
    energy = mean**2 * ones + spread / (n - 1) * (1 - ones / n)
    return Spectrum(found.singular_values, jnp.where(kept[:, None], energy, 0), found.total[:-1])


def permutation_curves(
    features: ArrayLike, targets: ArrayLike, thresholds: ArrayLike, *, key: Array, draws: int
) -> Permuted:
    """``alignment_curve`` of the targets and of ``draws`` random permutations of their rows, all
    columns of one decomposition.

    The k columns of Y are shuffled together, so sums over them have the right null too. Needs
    memory for n·k·draws numbers.

    Args:
      features: (n, d) Φ.
      targets: (n, k) Y; (n,) floats count as one column.
      thresholds: (t,) values of τ.
      key: of ``jax.random.key``; the same key, the same permutations.
      draws: how many; the smallest p-value is 1/(1 + draws).

    Returns:
      Permuted: the observed curve (t, k), the null's (draws, t, k), with ``p_values`` and
        ``quantiles(q)``.

    Raises:
      ValueError: no draws; under two rows; as ``spectrum`` and ``alignment_curve``.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> y = np.arange(8.0) - 3.5
      >>> found = ja.permutation_curves(y[:, None], y, [0.0, 1.0], key=jax.random.key(0), draws=99)
      >>> found.null.shape, found.p_values.ravel().tolist()
      ((99, 2, 1), [1.0, 0.00999...])

    Source: ours; p-values as in Phipson and Smyth (2010).
    """
    require_draws(draws)
    phi, y = _permutable(features, targets)
    n, k = y.shape
    orders = jax.vmap(lambda one: jax.random.permutation(one, n))(jax.random.split(key, draws))
    shuffled = jnp.moveaxis(y[orders], 0, 1).reshape(n, draws * k)
    curves = alignment_curve(spectrum(phi, jnp.concatenate([y, shuffled], axis=1)), thresholds)
    return Permuted(curves[:, :k], jnp.moveaxis(curves[:, k:].reshape(-1, draws, k), 1, 0))


def _permutable(features: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    phi, y = as_matrices(features, targets)
    if len(phi) < 2:
        raise ValueError("features and targets must have at least 2 rows to be permuted, found 1")
    return phi, y


def require_draws(draws: int) -> None:
    if draws < 1:
        raise ValueError(f"draws must be at least 1, found {draws}")
