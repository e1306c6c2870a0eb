import numpy as np
import pytest

from jaxalign.data import Labelled


def classes(labels, task="auto"):
    labels = np.asarray(labels)
    return Labelled(np.zeros((len(labels), 1)), labels, "here").classes(task)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([2, 0, 2, 0], (0, 2)),
        ([2.0, 0.0, 2.0], (0, 2)),
        ([True, False], (False, True)),
        (["b", "a", "b"], ("a", "b")),
        ([0.5, 1.0, 2.0], None),
        (np.zeros((3, 2)), None),
        (np.arange(50), None),  # each value once: a quantity
        (np.repeat(np.arange(101), 3), None),
        (np.repeat(np.arange(100), 3), tuple(range(100))),
    ],
)
def test_classes_and_quantities_are_told_apart(labels, expected):
    assert classes(labels) == expected


def test_told_what_they_are():
    assert classes(np.arange(50), "classes") == tuple(range(50))
    assert classes([0, 1, 0], "regression") is None
    assert classes(np.eye(3), "regression") is None


@pytest.mark.parametrize(
    ("labels", "task", "message"),
    [
        ([1, 1, 1], "auto", r"at least two classes, found only \[1\]"),
        ([0.5, np.nan], "auto", "NaN or Inf in row 1"),
        ([0.5, 1.5], "classes", "no classes"),
        (np.eye(3), "auto", r"save labels.argmax\(axis=1\) for one-hot rows, or choose regression"),
        (np.eye(3, dtype=bool), "classes", "for one-hot rows"),
        ([[1, 2], [3, 4]], "auto", "int64 of shape"),
        (["a", "b"], "regression", "are text"),
        ([1j, 2j], "auto", "found complex128"),
        (
            [*map(str, range(9)), "oops"],
            "auto",
            "10 different values in 10 rows, neither .* 'oops' is not a number",
        ),
    ],
)
def test_bad_labels(labels, task, message):
    with pytest.raises(ValueError, match=message):
        classes(labels, task)
