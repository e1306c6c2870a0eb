"""Families of synthetic tasks on the same points, for studying transfer: each is turned away from a
source task by a dial.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jaxalign.data._dataset import Dataset

BOX_SIDE = 0.5**0.5
"""So that half of the unit square lies inside."""
VARIABLES = "ABCDEF"
"""Of the peaks functions, in the order of the inputs."""


def hyperplane_task(n: int, dial: float, *, seed: int) -> Dataset:
    """Points of the unit square by their side of a line through the centre: label 1 where (x −
    ½)cos α + (y − ½)sin α > 0.

    The dial turns the line, α = dial·90°. At 0 it is the source task, x > ½; at 1, y > ½, whose
    labels are independent of the source's. Half of the square is of each class at any dial.

    Args:
      n: how many points.
      dial: in [0, 1].
      seed: of the points, which are the same at every dial.

    Returns:
      Dataset of inputs (n, 2) in [0, 1).

    Raises:
      ValueError: n under 1, or a dial outside [0, 1].

    Example:
      >>> from jaxalign.data import hyperplane_task
      >>> hyperplane_task(5, 0.0, seed=0).labels.tolist(), hyperplane_task(5, 1.0, seed=0).labels.tolist()
      ([1, 1, 0, 0, 0], [1, 0, 0, 0, 1])

    Source: ours, after the two-dimensional tasks of Pratt (1993).
    """
    points = _uniform(n, 2, seed, dial)
    angle = dial * np.pi / 2
    side = (points - 0.5) @ np.array([np.cos(angle), np.sin(angle)])
    return _dataset(
        points, side > 0, ("below", "above"), f"points by a line turned by {dial:g}·90°"
    )


def box_task(n: int, dial: float, *, seed: int) -> Dataset:
    """Points of the unit square, inside (1) or outside a box of side s = √½: label 1 where o ≤ x <
    o + s and o ≤ y < o + s.

    The dial moves the box along the diagonal, o = dial·(s − ½). At 0 it is the source task, the box
    in the corner; at 1 both boxes share a quarter of the square, and labels are independent of the
    source's. The box holds half of it at any dial.

    Args:
      n: how many points.
      dial: in [0, 1].
      seed: of the points, which are the same at every dial.

    Returns:
      Dataset of inputs (n, 2) in [0, 1).

    Raises:
      ValueError: n under 1, or a dial outside [0, 1].

    Example:
      >>> from jaxalign.data import box_task
      >>> box_task(5, 0.0, seed=0).labels.tolist(), box_task(5, 1.0, seed=0).labels.tolist()
      ([0, 1, 1, 1, 0], [1, 1, 0, 0, 0])

    Source: ours, after the two-dimensional tasks of Pratt (1993).
    """
    points = _uniform(n, 2, seed, dial)
    offset = dial * (BOX_SIDE - 0.5)
    inside = ((points >= offset) & (points < offset + BOX_SIDE)).all(axis=1)
    return _dataset(
        points, inside, ("outside", "inside"), f"points by a box moved by {dial:g}·(√½ − ½)"
    )


def peaks_task(n: int, roles: Sequence[str] = "ABC", *, seed: int) -> Dataset:
    """Six numbers A...F in [0, 1) by a peaks function of three: label 1 where (B if A > ½ else C) >
    ½, for roles "ABC".

    Half of all points are of each class for any roles. How far two functions are from each other,
    ``peaks_distance`` tells.

    Args:
      n: how many points.
      roles: three different variables: the one that is tested, the one taken where it is > ½, the
        one taken elsewhere.
      seed: of the points, which are the same for all roles.

    Returns:
      Dataset of inputs (n, 6) in [0, 1), a column a variable.

    Raises:
      ValueError: n under 1, or roles that are not three different ones of A...F.

    Example:
      >>> from jaxalign.data import peaks_task
      >>> points = peaks_task(4, "ABC", seed=0)
      >>> (points.inputs[:, :3] > 0.5).astype(int).tolist(), points.labels.tolist()
      ([[1, 1, 1], [0, 0, 0], [1, 1, 1], [1, 1, 0]], [1, 0, 1, 1])

    Source: the functions are those of Caruana (Machine Learning 1997); a variable is one input and
      the value a class, ours.
    """
    test, then, otherwise = (VARIABLES.index(name) for name in _roles(roles))
    points = _uniform(n, len(VARIABLES), seed)
    value = np.where(points[:, test] > 0.5, points[:, then], points[:, otherwise])
    tested, taken, other = roles
    return _dataset(
        points,
        value > 0.5,
        ("low", "high"),
        f"peaks function: if {tested} > ½ then {taken} else {other}",
    )


def peaks_distance(roles: Sequence[str], other: Sequence[str]) -> float:
    """How far two peaks functions are apart, 1 − (variables shared + variables shared in the same
    role)/6.

    0 of a function to itself, 1 of two without a common variable, whose labels are independent.

    Raises:
      ValueError: roles that are not three different ones of A...F.

    Example:
      >>> from jaxalign.data import peaks_distance
      >>> [round(peaks_distance("ABC", other), 2) for other in ("ABC", "ABD", "ACB", "ADE", "DEF")]
      [0.0, 0.33, 0.33, 0.67, 1.0]

    Source: ours.
    """
    a, b = _roles(roles), _roles(other)
    return 1 - (len(set(a) & set(b)) + sum(x == y for x, y in zip(a, b, strict=True))) / 6


def _uniform(n: int, variables: int, seed: int, dial: float = 0.0) -> np.ndarray:
    if n < 1:
        raise ValueError(f"n must be at least 1, found {n}")
    if not 0 <= dial <= 1:
        raise ValueError(
            f"dial must lie from 0 (the source task) to 1 (independent of it), found {dial}"
        )
    return np.random.default_rng(seed).random((n, variables), np.float32)


def _roles(roles: Sequence[str]) -> tuple[str, ...]:
    found = tuple(roles)
    if len(found) != 3 or len(set(found)) < 3 or not set(found) <= set(VARIABLES):
        raise ValueError(
            f"roles must be three different variables of {VARIABLES}, as in 'ABC', found {roles!r}"
        )
    return found


def _dataset(
    points: np.ndarray, positive: ArrayLike, class_names: tuple[str, str], source: str
) -> Dataset:
    return Dataset(points, np.asarray(positive, np.int32), class_names, source)
