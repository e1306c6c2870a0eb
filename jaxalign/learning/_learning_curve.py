"""How well a ridge head does with n labels, and how many labels it needs, from the label spectrum
of N rows alone.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_dtype, as_real_floats, require_finite
from jaxalign._core.known import known_values
from jaxalign._core.search import grid, minimizer
from jaxalign._core.warn import warn
from jaxalign._spectrum.directions import directions_of, warn_of_rounding
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import require_counted, require_one_spectrum
from jaxalign.learning._ridge import (
    Fit,
    error_with,
    fit,
    is_reached,
    transported,
)


class LearningWarning(UserWarning):
    """A prediction is NaN, since the spectrum does not tell it, or is of rounding."""


def gcv(spectrum: Spectrum, ridge: ArrayLike) -> Float[Array, "*t k"]:
    """GCV(ρ) = N⁻¹ ‖y − Φw‖²/(1 − D/N)², D = Σ σ_i²/(σ_i² + ρ): the error per row to expect of
    ridge regression, min ‖Φw − y‖² + ρ‖w‖², on new rows.

    Generalized cross-validation. Exact leave-one-out is not a function of the spectrum; where
    single rows weigh much, as with heavy tails, the two differ, and GCV is too low
    (``learning_curve`` says how often). Rows have to be ones that the network was not trained on. A
    column of ones in Φ is shrunk with the rest.

    Less than 2e-6 of ‖y‖² outside the column space is rounding of float32, as for targets far from
    0: subtract their mean. That holds for all predictions, with a LearningWarning in eager calls.

    Args:
      spectrum: of one representation, with k targets.
      ridge: ρ ≥ 0, one number or (t,), in the units of σ².

    Returns:
      (t, k), or (k,) for one number, in the units of y² per row.

    Raises:
      ValueError: ρ negative, not finite, or neither () nor (t,) (eager calls); a batch of spectra;
        the spectrum of a quadrature, which has no sums over all directions.
      TypeError: no Spectrum; ρ that is not a number.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.learning.gcv(s, [0.0, 1.0]).ravel().tolist()
      [3.0, 1.46...]

    Source: Golub, Heath, Wahba (Technometrics 1979).
    """
    rho = _checked(spectrum, "gcv", ridge, "ridge", zero=True)
    return on_automatic_axes(_gcv, spectrum, rho)


def learning_curve(
    spectrum: Spectrum, num_samples: ArrayLike, *, ridge: float | Literal["best"]
) -> Float[Array, "*t k"]:
    """E(n) = B/(1 − df₂/n): the error per row to expect on new rows of a ridge head fitted to n
    rows, from the spectrum of N.

    For every δ, ridge at δ on N rows and ridge at ρ = δ(n − D)/(N − D) on n rows shrink the same
    directions by the same shares. So E(n, ρ) follows from what was seen at δ: with
    x_i = δ/(σ_i² + δ), D = Σ (1 − x_i), R = Σ x_i² e_i + ‖y‖² − Σe_i and b = N − r + Σ x_i², it
    is B = R/b and df₂ = N − (N − D)²/b. With n = N this is ``gcv``.

    NaN where n > N rows of features with rank N are asked for at ρ < (n − N)/Σ σ_i⁻² (with a
    LearningWarning in eager calls).

    Measured against fitted heads on eight data sets, as means over 50 draws or more of N = 75 to
    300 unit rows (``jaxalign study learning``): with n ≤ N, 92 % of predictions are within 5 % at
    ρ = 1, 67 % at 0.1, 48 % at 0.001 and 69 % at the best ridge; with n = 2N, 64, 19, 17 and 18 %.
    Those that miss are nearly all too low, where rows have uneven leverages, which no spectrum
    holds: by up to 46 % at ρ = 0.1 and 91 % at 0.001 in the last layer of a network that was
    trained on the task, and by 42 and 84 % on CT slices, a target of little noise. Exact
    leave-one-out of the same rows is within 5 % on all. Single draws scatter by 9 %. Rows have to
    be ones that the network was not trained on: of trained rows the prediction is too good. A
    column of ones in Φ is shrunk with the rest.

    Args:
      spectrum: of N rows of one representation, with k targets.
      num_samples: n, one number or (t,), also above N.
      ridge: ρ ≥ 0, in the units of σ²; or "best", the best for each n and target.

    Returns:
      (t, k), or (k,) for one number, in the units of y² per row.

    Raises:
      ValueError: n not positive, or neither () nor (t,); ρ negative or not finite (eager calls); a
        batch of spectra; the spectrum of a quadrature.
      TypeError: no Spectrum; n or ρ that are not numbers.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> rng = np.random.default_rng(0)
      >>> phi = rng.standard_normal((200, 20))
      >>> s = ja.spectrum(phi, phi[:, 0] + rng.standard_normal(200))
      >>> ja.learning.learning_curve(s, [30, 100, 200], ridge="best").ravel().tolist()
      [1.4..., 1.1..., 1.0...]

    Source: ours, from the deterministic equivalent of ridge regression (Bordelon, Canatar, Pehlevan
      2020; Bach 2023).
    """
    n = _checked(spectrum, "learning_curve", num_samples, "num_samples", zero=False)
    if isinstance(ridge, str):
        if ridge != "best":
            raise ValueError(f"ridge must be a number or 'best', found {ridge!r}")
        return on_automatic_axes(_best_curve, spectrum, n)
    rho = _checked(spectrum, "learning_curve", ridge, "ridge", zero=True)
    if rho.ndim != 0:
        raise ValueError(f"ridge must be one number or 'best', found shape {rho.shape}")
    curve = on_automatic_axes(_curve, spectrum, n, rho)
    known = known_values(curve)
    if known is not None and np.isnan(known).any():
        warn(
            "learning_curve is NaN: features of rank N fit all N rows, which then tell nothing of "
            "more rows at so small a ridge; pass a larger one, or 'best'",
            LearningWarning,
        )
    return curve


def sample_complexity(spectrum: Spectrum, error: ArrayLike) -> Float[Array, "*t k"]:
    """n*(ε) = min_δ max(D, df₂/(1 − B/ε)): how many labels a ridge head needs for the error ε per
    row, at the best strength.

    The inverse of ``learning_curve(spectrum, n, ridge="best")``, whose docstring says what B, D and
    df₂ are, on which rows it may be used, and that such predictions are often too low.

    Args:
      spectrum: of one representation, with k targets.
      error: ε > 0, one number or (t,), in the units of y² per row.

    Returns:
      (t, k), or (k,) for one number; inf where no number of labels is enough.

    Raises:
      ValueError: ε not positive, not finite, or neither () nor (t,) (eager calls); a batch of
        spectra; the spectrum of a quadrature.
      TypeError: no Spectrum; ε that is not a number.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> rng = np.random.default_rng(0)
      >>> phi = rng.standard_normal((200, 20))
      >>> s = ja.spectrum(phi, phi[:, 0] + rng.standard_normal(200))
      >>> ja.learning.sample_complexity(s, [1.2, 0.5]).ravel().round(-1).tolist()
      [90.0, inf]

    Source: ours, as ``learning_curve``.
    """
    epsilon = _checked(spectrum, "sample_complexity", error, "error", zero=False)
    return on_automatic_axes(_complexity, spectrum, epsilon)


def _checked(
    spectrum: Spectrum, what: str, value: ArrayLike, name: str, *, zero: bool
) -> Float[Array, "*t"]:
    """A number or (t,) of them, positive or not negative, for one spectrum that was counted."""
    require_counted(spectrum, what)
    require_one_spectrum(spectrum, what)
    numbers = as_dtype(as_real_floats(value, name), spectrum.singular_values.dtype)
    if numbers.ndim > 1:
        raise ValueError(f"{name} must be a number or have shape (t,), found shape {numbers.shape}")
    require_finite(numbers, name)
    known = known_values(numbers)
    if known is not None and ((known < 0) | (not zero and (known == 0))).any():
        allowed = "not be negative" if zero else "be positive"
        raise ValueError(f"{name} must {allowed}, found {known.min():.6g}")
    warn_of_rounding(spectrum, what, LearningWarning)
    return numbers


@jax.jit
def _gcv(spectrum: Spectrum, rho: Float[Array, "*t"]) -> Float[Array, "*t k"]:
    directions = directions_of(spectrum)

    def at(rho: Float[Array, ""]) -> Float[Array, " k"]:
        one = fit(directions, jnp.maximum(directions.strength(rho), directions.least))
        return error_with(one, directions.rows, directions.rows)

    return _over(at, rho)


@jax.jit
def _curve(
    spectrum: Spectrum, n: Float[Array, "*t"], rho: Float[Array, ""]
) -> Float[Array, "*t k"]:
    directions = directions_of(spectrum)
    strength = directions.strength(rho)

    def at(n: Float[Array, ""]) -> Float[Array, " k"]:
        one = fit(directions, transported(directions, strength, n))
        error = error_with(one, n, directions.rows)
        return jnp.where(is_reached(directions, strength, n), error, jnp.nan)

    return _over(at, n)


@jax.jit
def _best_curve(spectrum: Spectrum, n: Float[Array, "*t"]) -> Float[Array, "*t k"]:
    directions = directions_of(spectrum)
    fixed = lax.stop_gradient(directions)
    strengths = grid(fixed.least, fixed.squares.dtype)
    fits = jax.vmap(fit, (None, 0))(fixed, strengths)

    def value(one: Fit, n: Float[Array, ""]) -> Float[Array, "*k"]:
        is_possible = n > one.freedom
        return jnp.where(is_possible, error_with(one, n, fixed.rows), jnp.inf)

    def of_target(energy: Array, outside: Array, values: Array, n: Array) -> Float[Array, ""]:
        own = directions.of_target(energy, outside)
        at = lax.stop_gradient(own)
        count = lax.stop_gradient(n)
        best = minimizer(lambda delta: value(fit(at, delta), count), strengths, values)
        # At the minimum the derivative by δ is 0.
        return error_with(fit(own, best), n, own.rows)

    def at(n: Float[Array, ""]) -> Float[Array, " k"]:
        values = jax.vmap(value, (0, None))(fits, lax.stop_gradient(n))
        each = jax.vmap(of_target, (1, 0, 1, None))
        return each(directions.energy, directions.outside, values, n)

    return _over(at, n)


@jax.jit
def _complexity(spectrum: Spectrum, epsilon: Float[Array, "*t"]) -> Float[Array, "*t k"]:
    directions = directions_of(spectrum)
    fixed = lax.stop_gradient(directions)
    strengths = grid(fixed.least, fixed.squares.dtype)
    fits = jax.vmap(fit, (None, 0))(fixed, strengths)
    bases = fits.residual / fits.left_squared[:, None]  # (g, k)

    def of_target(energy: Array, outside: Array, bases: Array, epsilon: Array) -> Array:
        own = directions.of_target(energy, outside)
        at = lax.stop_gradient(own)
        goal = lax.stop_gradient(epsilon)
        values = _needed(bases, fits.freedom, fits.second_freedom, goal)

        def needed(delta: Array) -> Array:
            one = fit(at, delta)
            return _needed(_base(one), one.freedom, one.second_freedom, goal)

        # Where the grid does not reach ε, the least B still may.
        of_base = minimizer(lambda delta: _base(fit(at, delta)), strengths, bases)
        of_count = minimizer(needed, strengths, values)
        best = jnp.where(needed(of_base) < needed(of_count), of_base, of_count)
        one = fit(own, best)
        return _needed(_base(one), one.freedom, one.second_freedom, epsilon)

    def at(epsilon: Float[Array, ""]) -> Float[Array, " k"]:
        each = jax.vmap(of_target, (1, 0, 1, None))
        return each(directions.energy, directions.outside, bases, epsilon)

    return _over(at, epsilon)


def _base(one: Fit) -> Float[Array, "*k"]:
    """B = R/b: the error of an endless sample that is shrunk as much."""
    return one.residual / one.left_squared


def _needed(base: Array, freedom: Array, second_freedom: Array, epsilon: Array) -> Array:
    """max(D, df₂/(1 − B/ε)), inf where B ≥ ε."""
    share = 1 - base / epsilon
    is_reached = share > 0
    needed = jnp.maximum(freedom, second_freedom / jnp.where(is_reached, share, 1))
    # NaN stays NaN.
    return jnp.where(is_reached | jnp.isnan(share), needed, jnp.inf)


def _over(function: Callable[[Array], Array], values: Float[Array, "*t"]) -> Float[Array, "*t k"]:
    """``function`` of one number, or of each of (t,)."""
    return jax.vmap(function)(values) if values.ndim else function(values)
