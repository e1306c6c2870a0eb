"""What chance gives: a score of shuffled labels."""

from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.kinds import as_count, require_function
from jaxalign._features.labels import as_labels


def permuted_scores(
    score: Callable[[np.ndarray], ArrayLike], labels: ArrayLike, *, draws: int = 99, seed: int = 0
) -> Float[np.ndarray, "draws ..."]:
    """The score of labels in random order, ``draws`` times: what chance gives.

    With s of ``draws`` at least as large as the score found, p = (1 + s)/(1 + draws).

    Args:
      score: of labels.
      labels: (n, ...) as the score takes them.
      draws: number of permutations.
      seed: of them.

    Returns:
      (draws, ...) scores, of numpy.

    Raises:
      ValueError: no draws.
      TypeError: a score that is not a function.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> phi = np.random.default_rng(0).standard_normal((100, 5))
      >>> labels = phi[:, 0] > 0
      >>> score = ja.transferability.log_me(phi, labels)
      >>> chance = ja.transferability.permuted_scores(
      ...     lambda shuffled: ja.transferability.log_me(phi, shuffled), labels, draws=19
      ... )
      >>> bool((chance < score).all())
      True

    Source: Fisher's permutation test.
    """
    require_function(score, "score", "pass a function of labels")
    draws = as_count(draws, "draws")
    values = np.asarray(as_labels(labels))
    rng = np.random.default_rng(as_count(seed, "seed", least=0))
    return np.stack([np.asarray(score(rng.permutation(values))) for _ in range(draws)])
