"""The check of token ids that language models share."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.checks import is_concrete


def check_tokens(tokens: Array, vocabulary: int, positions: int, mask: Array | None = None) -> None:
    """Raise for what is no batch of token ids, or has a mask of another shape.

    Args:
      tokens: (n, t) integers, 0 ... vocabulary − 1; their values are looked at outside jit only.
      vocabulary: how many different tokens there are.
      positions: the greatest t.
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

    Source: ours.
    """
    if tokens.ndim != 2 or 0 in tokens.shape:
        alone = "; give a batch, as by tokens[None]" if tokens.ndim == 1 else ""
        raise ValueError(f"tokens must be ids (n, t), found shape {tokens.shape}{alone}")
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(f"tokens must be integer ids, found {tokens.dtype}")
    if tokens.shape[1] > positions:
        raise ValueError(
            f"tokens must have at most {positions} positions, found {tokens.shape[1]}: cut them, as by tokens[:, :{positions}]"
        )
    if mask is not None and mask.shape != tokens.shape:
        raise ValueError(f"mask must have the shape of tokens, {tokens.shape}, found {mask.shape}")
    if is_concrete(tokens):
        # numpy, as jax would trace a constant's comparison inside jit
        least, most = np.asarray(tokens).min(), np.asarray(tokens).max()
        if least < 0 or most >= vocabulary:
            raise ValueError(
                f"tokens must be ids 0 ... {vocabulary - 1}, found {least} ... {most}; was another vocabulary used?"
            )
