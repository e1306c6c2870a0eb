"""Which pairs of layers are no more alike than chance would make them."""

import numpy as np
from jaxtyping import Bool

from jaxalign.comparison._compare import Comparison
from jaxalign.statistics import benjamini_hochberg

LEVEL = 0.05
"""The share of false ones among the pairs that count as more alike than chance."""


def not_above_chance(comparison: Comparison) -> Bool[np.ndarray, "a b"] | None:
    """(a, b) whether a pair is no more alike than chance; None where nothing is known of chance.

    With p-values, those adjusted for the number of pairs (Benjamini and Hochberg) are compared with
    5 %. With the mean alone, values are compared with that. Pairs without a value are marked too.

    Args:
      comparison: what ``compare`` found.

    Returns:
      (a, b) booleans, or None.

    Example:
      >>> import numpy as np
      >>> from jaxalign.comparison import SavedLayers, compare, not_above_chance
      >>> x, y = np.random.default_rng(0).standard_normal((2, 40, 3)).astype(np.float32)
      >>> layers = SavedLayers({"x": x, "y": y}, {"x": (40, 3), "y": (40, 3)})
      >>> not_above_chance(compare(layers, layers)).tolist()
      [[False, True], [True, False]]

    Source: Benjamini and Hochberg (JRSS B 1995) for p-values.
    """
    chance = comparison.pairs.chance
    if chance is None:
        return None
    values = comparison.pairs.values
    known = ~np.isnan(values)
    marked = np.ones(values.shape, bool)
    if chance.p_value is not None and known.any():
        marked[known] = benjamini_hochberg(chance.p_value[known]) > LEVEL
    elif chance.p_value is None:
        above = values < chance.mean if comparison.is_distance else values > chance.mean
        marked = ~(above & known)
    return marked
