"""What a measure would be by chance: the expected spectrum of targets in random directions, or with
permuted rows.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_matrices, as_target_numbers
from jaxalign._core.float64 import exactly, float64_inside
from jaxalign._core.kinds import require_flag
from jaxalign._core.known import known_values
from jaxalign._core.linalg import centred
from jaxalign._spectrum.finish import finished, sizes_of
from jaxalign._spectrum.moments import Basis, Moments
from jaxalign._spectrum.routes.table import Method, chosen_device, route_for
from jaxalign._spectrum.solve import solve
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.triangle import Triangle
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import require_counted


def isotropic_null(spectrum: Spectrum) -> Spectrum:
    """The expected spectrum E(u_iᵀy)² = ‖y‖²/n over targets y in uniformly random directions.

    A target with a mean does not have a random direction with respect to features that hold a
    constant; ``permutation_null`` keeps the mean.

    Args:
      spectrum: of one representation; only the norms of its k targets are used.

    Returns:
      Spectrum of the same σ, ‖y‖² and n. Curves and areas are linear in the energies, so
        ``alignment_curve`` and ``alignment_area`` of it are the expected curve and area.

    Raises:
      ValueError: the spectrum of a quadrature, which counts no directions (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]], [2.0, 1.0, 1.0, 0.0])
      >>> ja.alignment_curve(ja.isotropic_null(s), [0.0, 2.0, 5.0]).ravel().tolist()
      [6.0, 1.5, 0.0]

    Source: ours; an identity of Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    require_counted(spectrum, "isotropic_null")
    num_samples = known_values(spectrum.num_samples)
    if num_samples is not None and (num_samples < 1).any():
        raise ValueError(f"num_samples of a spectrum must be at least 1, found {num_samples}")
    return on_automatic_axes(_isotropic, spectrum)


@jax.jit  # one program of an eager call, not one per operation
def _isotropic(spectrum: Spectrum) -> Spectrum:
    share = spectrum.total / spectrum.num_samples[..., None].astype(spectrum.total.dtype)
    return replace(spectrum, energy=_in_span(spectrum, share[..., None, :]))


def permutation_null(
    features: ArrayLike | Moments | Triangle,
    targets: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool = False,
    basis: Basis | None = None,
) -> Spectrum:
    """The mean of ``spectrum(features, targets[p])`` over all n! permutations p of the rows:

        E(u_iᵀPy)² = m²(u_iᵀ1)² + ‖c‖²/(n − 1)·(1 − (u_iᵀ1)²/n),     m = mean(y), c = y − m.

    Exact, from one decomposition. Curves and areas are linear in the energies, so
    ``alignment_curve`` and ``alignment_area`` of it are means too. Unlike ``isotropic_null`` it
    keeps the targets' mean, which a bias column aligns with at large τ whatever the labels are.

    Args:
      features: (n, d) Φ; or Moments or a Triangle, alone. A weight w counts as w equal rows.
      targets: (n, k) Y; (n,) floats count as one column.
      method: as in ``spectrum``.
      centered: as in ``spectrum``; no permutation changes the mean.
      basis: as in ``spectrum``.

    Returns:
      Spectrum: σ and ‖y‖², which permutations leave unchanged, and the mean energy (r, k).

    Raises:
      ValueError: fewer than two rows; as ``spectrum``.

    Example:
      >>> import jaxalign as ja
      >>> null = ja.permutation_null([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0])
      >>> ja.alignment_curve(null, [0.0, 0.5, 2.0]).ravel().tolist()  # of y² 4, 1 and 0 in turn
      [5.0, 3.333..., 1.666...]

    Source: ours; the first two moments of sampling without replacement.
    """
    return spectrum_and_null(features, targets, method=method, centered=centered, basis=basis)[1]


def spectrum_and_null(
    features: ArrayLike | Moments | Triangle,
    targets: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool = False,
    basis: Basis | None = None,
) -> tuple[Spectrum, Spectrum]:
    """``spectrum`` and ``permutation_null`` of the same arguments, from one decomposition.

    The column of ones takes part as one more target, which costs next to nothing.

    Args:
      features: as in ``permutation_null``.
      targets: as in ``permutation_null``.
      method: as in ``spectrum``.
      centered: as in ``spectrum``.
      basis: as in ``spectrum``.

    Returns:
      The Spectrum of the targets as they are, and that of the permutation null.

    Raises:
      as ``permutation_null``.

    Example:
      >>> import jaxalign as ja
      >>> from jaxalign.alignment import spectrum_and_null
      >>> s, null = spectrum_and_null([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0])
      >>> ja.alignment_area(s).tolist(), ja.alignment_area(null).round(2).tolist()
      ([13.0], [6.67...])

    Source: ours.
    """
    require_flag(centered, "centered")
    if isinstance(features, Moments):
        _require_rows(features.weight)
        joint = spectrum(
            _moments_with_ones(features), targets, centered=centered, basis=basis, method=method
        )
        about_mean = centered or (basis is not None and basis.centered)
        return _split(joint, *_mean_and_spread(features), features.weight, about_mean)
    if isinstance(features, Triangle):
        _require_rows(features.weight)
        joint = spectrum(
            _triangle_with_ones(features), targets, centered=centered, basis=basis, method=method
        )
        # The row of the ones in QᵀY is mean(y)·√n, up to sign; the other rows are y − mean(y).
        along = features.factor[:, features.width + 1 :]
        mean = along[0] / features.factor[0, 0]
        spread = jnp.sum(along[1:] ** 2, axis=0)
        return _split(joint, mean, spread, features.weight, centered)
    if basis is not None:
        raise ValueError("basis is for moments of a second pass; for arrays pass method='refined'")

    if targets is None:
        raise ValueError("targets are missing; pass permutation_null(features, targets)")

    def run(features: Array | np.ndarray, targets: Array | np.ndarray) -> tuple[Spectrum, Spectrum]:
        phi, y = permutable(features, targets)
        solve_joint = partial(solve, route=route_for(method, phi), centered=centered)
        return with_null(solve_joint, phi, y, centered)

    phi = as_numbers(features, "features")
    y = as_target_numbers(targets, [phi])
    observed, null = exactly(run, phi, y)
    sizes, device = partial(sizes_of, phi, y), chosen_device(phi)
    return finished(observed, sizes, device), finished(null, sizes, device)


def with_null(
    solve: Callable[[Array, Array], Spectrum],
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    centered: bool,
) -> tuple[Spectrum, Spectrum]:
    """The spectrum of checked arrays and its permutation null; ``solve`` computes a spectrum."""
    with_ones, mean, spread, n = _with_ones_and_moments(targets)
    return _split(solve(features, with_ones), mean, spread, n, centered)


@jax.jit
def _with_ones_and_moments(targets: Float[Array, "n k"]) -> tuple[Array, Array, Array, Array]:
    """[1 Y], the mean of Y, ‖y − mean(y)‖², and n."""
    with_ones = jnp.pad(targets, ((0, 0), (1, 0)), constant_values=1)
    about_mean = centred(targets)
    mean = targets[0] - about_mean[0]
    spread = jnp.sum(about_mean**2, axis=0)
    return with_ones, mean, spread, jnp.asarray(len(targets), targets.dtype)


@partial(jax.jit, static_argnames="centered")
def _split(
    joint: Spectrum,
    mean: Float[Array, " k"],
    spread: Float[Array, " k"],
    weight: Float[Array, ""],
    centered: bool,
) -> tuple[Spectrum, Spectrum]:
    """The spectrum of Y and its null from the spectrum of [1 Y]; ``spread`` is ‖y − mean(y)‖²."""
    observed = replace(joint, energy=joint.energy[:, 1:], total=joint.total[1:])
    dtype = joint.energy.dtype
    # Rounding may leave the spread of a constant target below 0.
    variance = jnp.maximum(spread, 0).astype(dtype)[None, :] / (weight - 1).astype(dtype)
    if centered:
        # The u_i are orthogonal to the ones, and the mean is 0.
        energy = jnp.broadcast_to(variance, observed.energy.shape)
    else:
        # E(u_iᵀPy)² = m²(u_iᵀ1)² + ‖c‖²/(n − 1)·(1 − (u_iᵀ1)²/n).
        ones = joint.energy[:, :1]
        along = mean.astype(dtype)[None, :] ** 2 * ones
        energy = along + variance * (1 - ones / weight.astype(dtype))
    return observed, replace(observed, energy=_in_span(observed, energy))


def _in_span(spectrum: Spectrum, energy: Float[Array, "*batch #r k"]) -> Float[Array, "*batch r k"]:
    """Energies of the directions in the column space, and 0 for the others."""
    shape = spectrum.singular_values.shape
    position = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    counts = position < spectrum.rank[..., None]
    # The null of a spectrum that holds NaN holds NaN.
    unknown = 0 * spectrum.singular_values[..., None]
    return jnp.where(counts[..., None], energy, 0) + unknown


@jax.jit
def _moments_with_ones(moments: Moments) -> Moments:
    """The same with the ones as one more target, before all others: all its products are there."""

    def insert(products: Array) -> Array:
        d = moments.width
        last = products[-1:]
        weight = products[d : d + 1, d : d + 1]
        top = jnp.concatenate([products[:-1, : d + 1], products[:-1, d:]], axis=1)
        bottom = jnp.concatenate([last[:, : d + 1], weight, last[:, d + 1 :]], axis=1)
        return jnp.concatenate([top, bottom])

    return replace(moments, products=float64_inside(insert)(moments.products))


@jax.jit
def _mean_and_spread(moments: Moments) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """mean(y) and ‖y − mean(y)‖², weighted."""
    dtype = jnp.dtype(moments.precision)

    def read(products: Array) -> tuple[Array, Array]:
        d = moments.width
        weight = products[d, d]
        mean = products[d, d + 1 :] / weight
        spread = products[-1, d + 1 :] - weight * mean**2
        return mean.astype(dtype), spread.astype(dtype)

    return float64_inside(read)(moments.products)


@jax.jit
def _triangle_with_ones(triangle: Triangle) -> Triangle:
    """The same with the ones as one more target, before all others."""
    own = triangle.width + 1
    # Qᵀ1 is the first column of R, and nothing of the ones is outside the column space of [1 Φ].
    ones = triangle.factor[:, :1].at[-1].set(0)
    factor = jnp.concatenate([triangle.factor[:, :own], ones, triangle.factor[:, own:]], axis=1)
    return replace(triangle, factor=factor)


def permutable(
    features: ArrayLike, targets: ArrayLike
) -> tuple[Float[Array, "n d"], Float[Array, "n k"]]:
    """Φ and Y of at least two rows, checked."""
    phi, y = as_matrices(features, targets)
    if len(phi) < 2:
        raise ValueError("features and targets must have at least 2 rows to be permuted, found 1")
    return phi, y


def _require_rows(weight: Array) -> None:
    """Raise for weights that do not add up to two rows (eager calls)."""
    known = known_values(weight)
    if known is not None and (known <= 1).any():
        raise ValueError(
            "weights count as numbers of equal rows, and at least 2 rows can be permuted; found "
            f"weights that add up to {known.min():g}: multiply them"
        )
