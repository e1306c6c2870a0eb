"""Families of synthetic tasks for studying transfer.

All tasks of a family share their points; a dial moves the labels away from those of a source task.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from jaxalign.data._dataset import Dataset

BOX_SIDE = 0.5**0.5
"""The side of the box that holds half of the unit square."""
VARIABLES = "ABCDEF"
"""The variables of the peaks functions, in the order of the inputs."""


def hyperplane_task(n: int, dial: float, *, seed: int) -> Dataset:
    """Points of the unit square on either side of a line through the centre.

    The label is 1 where (x − ½)cos α + (y − ½)sin α > 0. The dial turns the line: α = dial·90°. At
    0 it is the source task, x > ½; at 1 it is y > ½, with labels independent of the source's. At
    any dial, each class has half of the square.

    Args:
      n: number of points.
      dial: in [0, 1].
      seed: of the points, which are the same at every dial.

    Returns:
      Dataset of inputs (n, 2) in [0, 1).

    Raises:
      ValueError: n under 1, or a dial outside [0, 1].

    Example:
      >>> from jaxalign.data import hyperplane_task
      >>> [hyperplane_task(5, dial, seed=0).labels.tolist() for dial in (0.0, 1.0)]
      [[1, 1, 0, 0, 0], [1, 0, 0, 0, 1]]

    Source: after the two-dimensional tasks of Pratt (1993); the dial is ours.
    """
    points = _uniform(n, 2, seed, dial)
    angle = dial * np.pi / 2
    side = (points - 0.5) @ np.array([np.cos(angle), np.sin(angle)])
    return _dataset(
        points, side > 0, ("below", "above"), f"points by a line turned by {dial:g}·90°"
    )


def box_task(n: int, dial: float, *, seed: int) -> Dataset:
    """Points of the unit square, inside (1) or outside (0) a box of side s = √½.

    The label is 1 where o ≤ x < o + s and o ≤ y < o + s. The dial moves the box along the diagonal:
    o = dial·(s − ½). At 0 it is the source task, the box in the corner; at 1 both boxes share a
    quarter of the square, and the labels are independent of the source's. At any dial, the box
    holds half of the square.

    Args:
      n: number of points.
      dial: in [0, 1].
      seed: of the points, which are the same at every dial.

    Returns:
      Dataset of inputs (n, 2) in [0, 1).

    Raises:
      ValueError: n under 1, or a dial outside [0, 1].

    Example:
      >>> from jaxalign.data import box_task
      >>> [box_task(5, dial, seed=0).labels.tolist() for dial in (0.0, 1.0)]
      [[0, 1, 1, 1, 0], [1, 1, 0, 0, 0]]

    Source: after the two-dimensional tasks of Pratt (1993); the dial is ours.
    """
    points = _uniform(n, 2, seed, dial)
    offset = dial * (BOX_SIDE - 0.5)
    inside = ((points >= offset) & (points < offset + BOX_SIDE)).all(axis=1)
    return _dataset(
        points, inside, ("outside", "inside"), f"points by a box moved by {dial:g}·(√½ − ½)"
    )


def peaks_task(n: int, roles: Sequence[str] = "ABC", *, seed: int) -> Dataset:
    """Six numbers A...F in [0, 1), labelled by a peaks function of three of them.

    For roles "ABC" the label is 1 where (B if A > ½ else C) > ½. For any roles, each class has half
    of all points. ``peaks_distance`` is the distance between two such functions.

    Args:
      n: number of points.
      roles: three different variables: the one that is tested, the one returned where it is > ½,
        the one returned elsewhere.
      seed: of the points, which are the same for all roles.

    Returns:
      Dataset of inputs (n, 6) in [0, 1), one column per variable.

    Raises:
      ValueError: n under 1, or roles that are not three different ones of A...F.

    Example:
      >>> from jaxalign.data import peaks_task
      >>> points = peaks_task(4, "ABC", seed=0)
      >>> (points.inputs[:, :3] > 0.5).astype(int).tolist(), points.labels.tolist()
      ([[1, 1, 1], [0, 0, 0], [1, 1, 1], [1, 1, 0]], [1, 0, 1, 1])

    Source: the functions of Caruana (Machine Learning 1997). One input per variable, and the value
      as two classes, are ours.
    """
    test, then, otherwise = _roles(roles)
    points = _uniform(n, len(VARIABLES), seed)
    column = dict(zip(VARIABLES, points.T, strict=True))
    value = np.where(column[test] > 0.5, column[then], column[otherwise])
    source = f"peaks function: if {test} > ½ then {then} else {otherwise}"
    return _dataset(points, value > 0.5, ("low", "high"), source)


def peaks_distance(roles: Sequence[str], other: Sequence[str]) -> float:
    """Distance of two peaks functions: 1 − (common variables + those in the same role)/6.

    It is 0 for equal functions, and 1 for functions without a common variable, whose labels are
    independent.

    Args:
      roles: three different variables of one function, as in ``peaks_task``.
      other: those of the other function.

    Returns:
      A number from 0 to 1.

    Raises:
      ValueError: roles that are not three different ones of A...F.

    Example:
      >>> from jaxalign.data import peaks_distance
      >>> [round(peaks_distance("ABC", other), 2) for other in ("ABC", "ABD", "ACB", "ADE", "DEF")]
      [0.0, 0.33, 0.33, 0.67, 1.0]

    Source: ours.
    """
    first = _roles(roles)
    second = _roles(other)
    common = len(set(first) & set(second))
    same_role = sum(a == b for a, b in zip(first, second, strict=True))
    return 1 - (common + same_role) / 6


def _uniform(
    n: int, variables: int, seed: int, dial: float = 0.0
) -> Float32[np.ndarray, "n variables"]:
    if n < 1:
        raise ValueError(f"n must be at least 1, found {n}")
    if not 0 <= dial <= 1:
        raise ValueError(
            f"dial must lie from 0 (the source task) to 1 (independent of it), found {dial}"
        )
    return np.random.default_rng(seed).random((n, variables), np.float32)


def _roles(roles: Sequence[str]) -> tuple[str, ...]:
    names = tuple(roles)
    if len(names) != 3 or len(set(names)) < 3 or not set(names) <= set(VARIABLES):
        raise ValueError(
            f"roles must be three different variables of {VARIABLES}, as in 'ABC', found {roles!r}"
        )
    return names


def _dataset(
    points: np.ndarray, positive: ArrayLike, class_names: tuple[str, str], source: str
) -> Dataset:
    return Dataset(points, np.asarray(positive, np.int32), class_names, source)
