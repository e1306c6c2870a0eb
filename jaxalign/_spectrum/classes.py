"""Which matrices make one batch of an eigensolver: those of one width, or nearly."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

# A matrix is padded with columns of zeros to at most 8/7 of its width: at worst to 1.5 times its
# eigensolver's work, (8/7)³, and to 1.3 times that of its products.
_SHARE = 8


class Class(NamedTuple):
    """What the matrices of a batch have in common."""

    width: int  # the columns of the batch; a member has as many or fewer
    rows: int
    targets: int
    dtype: str
    route: str


def always(count: int, width: int) -> bool:
    """A batch gains by padding, whatever its size."""
    return True


def shared(
    classes: Sequence[Class], gains_by_stack: Callable[[int, int], bool] = always
) -> list[Class]:
    """The classes of matrices with those of similar width made one, where that gains.

    Only the moments route takes columns of zeros; the others have classes of equal widths.

    Args:
      classes: of each matrix.
      gains_by_stack: of the number of matrices, and the width of their Gram matrices.
    """
    widened = [own._replace(width=_common_width(own, classes)) for own in classes]
    counts = Counter(widened)
    return [
        common if gains_by_stack(counts[common], min(common.rows, common.width)) else own
        for own, common in zip(classes, widened, strict=True)
    ]


def _common_width(own: Class, classes: Sequence[Class]) -> int:
    if own.route != "moments":
        return own.width
    return common_widths({other.width for other in classes if other[1:] == own[1:]})[own.width]


def common_widths(widths: Iterable[int]) -> dict[int, int]:
    """{width: that of its class}. A class is as wide as its widest member and takes all that are
    narrower by no more than an eighth; the widest of the others begins the next one.
    """
    classes: dict[int, int] = {}
    widest = 0
    for width in sorted(set(widths), reverse=True):
        if not classes or _SHARE * width < (_SHARE - 1) * widest:
            widest = width
        classes[width] = widest
    return classes
