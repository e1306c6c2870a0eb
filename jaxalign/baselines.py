"""What a measure would be worth by chance."""

from jax import Array
from jax.typing import ArrayLike

from jaxalign.alignment import alignment_curve
from jaxalign.spectrum import Spectrum


def random_label_curve(spectrum: Spectrum, thresholds: ArrayLike, samples: int) -> Array:
    """E[A(τ)] = ‖y‖²·#{i: σ_i ≥ τ}/n over targets y in uniformly random directions: the null of ``alignment_curve``.

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
    share = spectrum.total / samples + 0 * spectrum.singular_values[:, None]  # (r, k); a NaN stays a NaN
    return alignment_curve(spectrum._replace(energy=share), thresholds)
