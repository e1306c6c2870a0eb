"""Scores of how well a representation will serve another task, from its features alone.

None of them ranks models by itself: a fixed list of models by size ranked them better than LogME
(rank correlation 0.91 against 0.57 in a comparison of ICLR 2026). Compare layers of one model, and
each score with what chance gives.
"""

from jaxalign.transferability._counts import leep, nce
from jaxalign.transferability._h_score import HScore, h_score
from jaxalign.transferability._log_me import log_me
from jaxalign.transferability._permuted import permuted_scores

__all__ = ["HScore", "h_score", "leep", "log_me", "nce", "permuted_scores"]
