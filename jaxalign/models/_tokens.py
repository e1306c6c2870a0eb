"""The check of token ids for language models."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.known import is_concrete


def check_tokens(tokens: Array, vocabulary: int, positions: int, mask: Array | None = None) -> None:
    """Raise unless ``tokens`` is a batch of token ids, and ``mask`` has its shape.

    Args:
      tokens: (n, t) integers, 0 ... vocabulary − 1; values are checked outside jit only.
      vocabulary: the number of different tokens.
      positions: the largest t.
      mask: (n, t), True or 1 for tokens, False or 0 for padding.

    Raises:
      TypeError: ids that are not integers.
      ValueError: another rank, too many positions, ids outside the vocabulary, a mask of another
        shape.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._tokens import check_tokens
      >>> check_tokens(jnp.zeros((2, 600), int), vocabulary=30522, positions=512)
      Traceback (most recent call last):
      ValueError: tokens must have at most 512 positions, found 600: cut them, as by tokens[:, :512]
    """
    if tokens.ndim != 2 or 0 in tokens.shape:
        remedy = "; give a batch, as by tokens[None]" if tokens.ndim == 1 else ""
        raise ValueError(f"tokens must be ids (n, t), found shape {tokens.shape}{remedy}")
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(f"tokens must be integer ids, found {tokens.dtype}")
    if tokens.shape[1] > positions:
        raise ValueError(
            f"tokens must have at most {positions} positions, found {tokens.shape[1]}: "
            f"cut them, as by tokens[:, :{positions}]"
        )
    if mask is not None and mask.shape != tokens.shape:
        raise ValueError(f"mask must have the shape of tokens, {tokens.shape}, found {mask.shape}")
    if is_concrete(tokens):
        # By numpy: inside jit, jax would trace the comparison even of a constant.
        ids = np.asarray(tokens)
        if ids.min() < 0 or ids.max() >= vocabulary:
            raise ValueError(
                f"tokens must be ids 0 ... {vocabulary - 1}, found {ids.min()} ... {ids.max()}; "
                "was another vocabulary used?"
            )
