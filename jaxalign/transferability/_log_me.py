"""LogME: the evidence of Bayesian linear regression on a representation."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.search import minimizer
from jaxalign._features import class_indicators, encode_targets
from jaxalign._features.labels import are_real, as_labels
from jaxalign._spectrum.directions import directions_of, warn_of_rounding
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import require_counted, require_one_spectrum
from jaxalign.learning import LearningWarning


def log_me(
    features: ArrayLike | Spectrum,
    labels: ArrayLike | None = None,
    *,
    classes: Sequence | None = None,
) -> Float[Array, ""]:
    """Max over α and β of log p(y | Φ, α, β)/n: the log evidence per row of y = Φw + noise with
    w ~ N(0, 1/α) and noise ~ N(0, 1/β), mean over targets.

    Of a spectrum it is −½[Σ_i log v_i + Σ_i e_i/v_i + (n − r) log β⁻¹ + β(‖y‖² − Σe)]/n
    − ½ log 2π with v_i = σ_i²/α + 1/β. β is known for each β/α, and β/α is searched; so it is right
    for n < d too, where the published fixed point is not.

    Classes are columns of 0 and 1, which a column of ones in the features helps to explain. What
    chance gives is the score of shuffled labels, ``permuted_scores``. A density: it has no bound,
    and grows with the precision where Φ explains y exactly, with a LearningWarning (eager calls):
    less than 2e-6 of ‖y‖² outside the column space is rounding of float32.

    Args:
      features: (n, d); or a Spectrum, with its own targets.
      labels: (n,) classes or real numbers, or (n, k) real numbers.
      classes: all classes; required inside ``jit``.

    Returns:
      () in nats per row and target; larger is better. Columns of zeros, as those of classes without
      rows, do not count; NaN where there are no others.

    Raises:
      ValueError: as ``spectrum`` and ``encode_targets``; a Spectrum with labels, features without;
        the spectrum of a quadrature; a batch of spectra.
      TypeError: features or labels of another kind.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> phi = np.c_[np.random.default_rng(0).standard_normal((100, 5)), np.ones(100)]
      >>> round(float(ja.transferability.log_me(phi, phi[:, 0] > 0)), 2)
      -0.38
      >>> round(float(ja.transferability.log_me(phi, np.arange(100) % 2)), 2)
      -0.82

    Source: You et al. (ICML 2021); the maximum is ours.
    """
    found = _spectrum_of(features, labels, classes)
    require_counted(found, "log_me")
    require_one_spectrum(found, "log_me")
    warn_of_rounding(found, "log_me", LearningWarning)
    return on_automatic_axes(_evidence, found)


def _spectrum_of(
    features: ArrayLike | Spectrum, labels: ArrayLike | None, classes: Sequence | None
) -> Spectrum:
    if isinstance(features, Spectrum):
        if labels is not None:
            raise ValueError("a Spectrum has targets of its own; pass it without labels")
        return features
    if labels is None:
        raise ValueError("labels are missing; pass log_me(features, labels)")
    if classes is None and are_real(as_labels(labels)):
        return spectrum(features, encode_targets(labels))
    return spectrum(features, class_indicators(labels, classes))


@jax.jit
def _evidence(s: Spectrum) -> Float[Array, ""]:
    directions = directions_of(s)
    squares, n = directions.squares, directions.rows
    # β/α in units of 1/σ_1²: from one that explains nothing to one that shrinks no direction.
    ratios = jnp.geomspace(1e-8, 1e24, 192, dtype=squares.dtype)

    def of_target(energy: Array, outside: Array) -> Float[Array, ""]:
        def loss(ratio: Array, squares: Array, energy: Array, outside: Array) -> Array:
            grown = ratio * squares
            # The best β⁻¹ for a ratio is this mean.
            noise = (jnp.sum(energy / (1 + grown)) + outside) / n
            return (jnp.sum(jnp.log1p(grown)) / n + jnp.log(noise) + 1 + jnp.log(2 * jnp.pi)) / 2

        fixed = lax.stop_gradient((squares, energy, outside))
        values = jax.vmap(lambda ratio: loss(ratio, *fixed))(ratios)
        best = minimizer(lambda ratio: loss(ratio, *fixed), ratios, values)
        # At the maximum the derivative by the ratio is 0.
        return -loss(best, squares, energy, outside)

    each = jax.vmap(of_target, (1, 0))(directions.energy, directions.outside)
    # The density of a column of zeros, as of a class without rows, has no bound.
    counts = ~(s.total == 0)
    return jnp.sum(jnp.where(counts, each, 0)) / jnp.sum(counts.astype(each.dtype))
