"""Class labels of any container and coding have the targets of their classes, or are refused."""

import array
from collections import UserList, deque

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jaxalign as ja


def signs(codes, classes: int) -> np.ndarray:
    """Y of class numbers."""
    matrix = np.where(np.asarray(codes)[:, None] == np.arange(classes), 1, -1)
    return matrix[:, 1:] if classes == 2 else matrix


@pytest.mark.parametrize(
    "labels", [[0, 1, 1], [3, 7, 7], [False, True, True], ["a", "b", "b"], [-1, 1, 1]]
)
def test_two_classes_are_one_column_of_signs(labels, x64):
    found = ja.encode_targets(np.array(labels))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, [[-1], [1], [1]])


def test_more_classes_are_one_against_the_rest():
    labels = np.array([2, 0, 5, 0])
    found = ja.encode_targets(labels)
    np.testing.assert_array_equal(found, np.where(labels[:, None] == [0, 2, 5], 1, -1))
    assert (found.sum(axis=1) == -1).all()


def column(values: list) -> np.ndarray:
    return np.array(values, dtype=object)[:, None]


def rows(values: list) -> list:
    return [[value] for value in values]


def natural(values: list) -> np.ndarray:
    """As numpy reads them, if that changes none."""
    if len(set(map(type, values))) == 1 and np.array(values).tolist() == values:
        return np.array(values)
    return np.array(values, dtype=object)


def strided(values: list) -> np.ndarray:
    return np.repeat(natural(values), 2)[::2]


def swapped(values: list) -> np.ndarray:
    found = natural(values)
    return found.astype(found.dtype.newbyteorder("S"))


def in_jax(values: list):
    """On the device what is a number there."""
    found = natural(values)
    if found.dtype.kind not in "biu" or (found.dtype.itemsize == 8 and max(values) >= 2**31):
        return found
    return jnp.asarray(found)


def unmasked(values: list) -> np.ndarray:
    return np.ma.array(natural(values))


def series(values: list) -> pd.Series:
    return pd.Series(natural(values))


def objects(values: list) -> pd.Series:
    return pd.Series(values, dtype=object)


def categorical(values: list) -> pd.Categorical:
    return pd.Categorical(objects(values))


def series_of_categories(values: list) -> pd.Series:
    return objects(values).astype("category")


def frame(values: list) -> pd.DataFrame:
    return pd.DataFrame({"label": objects(values)})


CONTAINERS = [
    *(list, tuple, deque, UserList, column, rows, natural, strided, swapped, in_jax, unmasked),
    *(series, objects, categorical, series_of_categories, pd.Index, frame),
]

# Values of up to four classes, ascending.
CODINGS = [
    [False, True],
    [-1, 1],
    [0, 1, 2, 3],
    [7, 2**24, 2**24 + 1],
    [-(2**31) - 1, 2**31, 2**31 + 1],
    [2**53, 2**53 + 1, 2**62],
    [-1, 2**63, 2**63 + 1, 2**80],
    ["007", "7", "7.0", "nan"],
    ["", "a", "a\0", "ä"],
    [b"", b"a", b"a\0"],
]


@st.composite
def labelled(draw):
    """Class numbers, the values of the classes, and a container of the labels."""
    classes = draw(st.sampled_from(CODINGS))
    codes = draw(st.lists(st.integers(0, len(classes) - 1), min_size=1, max_size=6))
    return [*range(len(classes)), *codes], classes, draw(st.sampled_from(CONTAINERS))


@given(labelled(), st.sampled_from([None, list, tuple, natural, objects]), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_labels_of_any_container_and_coding(case, of_classes, descending):
    codes, classes, container = case
    rows = [classes[code] for code in codes]
    labels = container(rows)
    # Before pandas 3, texts that differ by a null character at their ends are one category.
    assume(container not in (categorical, series_of_categories) or [*labels] == rows)
    order = range(len(classes))
    if of_classes is not None:
        order = order[::-1] if descending else order
        values = of_classes([classes[code] for code in order])
        found = ja.encode_targets(labels, classes=values)
    else:
        found = ja.encode_targets(labels)
    expected = signs([order.index(code) for code in codes], len(classes))
    np.testing.assert_array_equal(found, expected)


@given(labelled(), st.sampled_from([None, float("nan"), pd.NA, pd.NaT, 1j, "x", b"x", [0]]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_one_value_of_another_kind_is_refused(case, stranger):
    codes, classes, container = case
    if container is unmasked or isinstance(stranger, list):
        container = list  # what numpy makes of a mixture is another value already
    if type(stranger) in map(type, classes):
        return
    values = [classes[code] for code in codes]
    values.insert(1, stranger)
    for given_classes in (None, classes):
        with pytest.raises((TypeError, ValueError), match=r"^labels must"):
            ja.encode_targets(container(values), classes=given_classes)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "longdouble"])
def test_floats_are_class_labels_if_classes_are_given(dtype):
    labels = np.array([0, 2, 1, 2]).astype(dtype)
    for given_labels in (labels, labels[:, None], labels.tolist()):
        found = ja.encode_targets(given_labels, classes=(0, 1, 2))
        np.testing.assert_array_equal(found, signs([0, 2, 1, 2], 3))
        with pytest.raises(ValueError, match=r"among classes=\[0, 1\], found \[2.0\]"):
            ja.encode_targets(given_labels, classes=(0, 1))
    tenths = np.array([0.1, 0.2], np.float32)
    np.testing.assert_array_equal(ja.encode_targets(tenths, classes=(0.1, 0.2)), [[-1], [1]])


def test_a_categorical_of_floats_holds_classes():
    labels = pd.Categorical([2.5, 0.5, 2.5])
    np.testing.assert_array_equal(ja.encode_targets(labels), [[1], [-1], [1]])
    np.testing.assert_array_equal(ja.encode_targets(pd.Series(labels)), [[1], [-1], [1]])


def test_other_containers_of_integers():
    for labels in (array.array("i", [0, 2, 1]), range(3), [np.array(0), np.array(1), np.array(2)]):
        np.testing.assert_array_equal(ja.encode_targets(labels), signs(list(labels), 3))


def test_given_classes_work_inside_jit_and_for_batches_that_miss_one():
    encode = jax.jit(lambda labels: ja.encode_targets(labels, classes=(0, 1, 2)))
    np.testing.assert_array_equal(encode(jnp.array([0, 1])), [[1, -1, -1], [-1, 1, -1]])
    np.testing.assert_array_equal(encode(jnp.array([[0], [1]])), [[1, -1, -1], [-1, 1, -1]])
    np.testing.assert_array_equal(ja.encode_targets([4, 4], classes=(2, 4)), [[1], [1]])
    stacked = jax.vmap(lambda labels: ja.encode_targets(labels, classes=(0, 1)))(
        jnp.array([[0, 1], [1, 1]])
    )
    np.testing.assert_array_equal(stacked[..., 0], [[-1, 1], [1, 1]])


def test_a_traced_label_of_no_class_is_nan():
    encode = jax.jit(lambda labels: ja.encode_targets(labels, classes=(0, 1)))
    np.testing.assert_array_equal(encode(jnp.array([0, 1, 2, -1])), [[-1], [1], [np.nan], [np.nan]])


@pytest.mark.parametrize("classes", [("a", "b"), (0, 0.5), (0, 2**40), (0, 256)])
def test_classes_that_traced_labels_cannot_have_are_refused(classes):
    encode = jax.jit(lambda labels: ja.encode_targets(labels, classes=classes))
    with pytest.raises(
        ValueError, match="classes must be values that traced labels of dtype uint8"
    ):
        encode(jnp.array([0, 1], jnp.uint8))


def test_real_targets_pass_as_they_are(rng):
    y = rng.standard_normal((5, 2)).astype(np.float32)
    np.testing.assert_array_equal(ja.encode_targets(y), y)
    np.testing.assert_array_equal(jax.jit(ja.encode_targets)(y[:, 0]), y[:, :1])
    np.testing.assert_array_equal(ja.encode_targets([0, 1, 1.5]), [[0], [1], [1.5]])


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([1, 1, 1], ValueError, r"at least two classes, found only \[1\]"),
        ([], ValueError, "must not be empty"),
        (np.eye(3, dtype=int), ValueError, "labels.argmax"),
        (pd.DataFrame({"a": ["x", "y"], "b": ["y", "x"]}), ValueError, r"of shape \(n,\)"),
        ([0.5, np.inf], ValueError, "labels must be finite"),
        (pd.array([0, None, 1], dtype="Int64"), ValueError, "labels must be finite, found 1 NaN"),
        (np.ones((2, 2, 2)), ValueError, r"shape \(n,\) or \(n, k\)"),
        (["a", None, "b"], ValueError, r"found 1 among 3 \(None the first, at index \(1,\)\)"),
        (pd.Series(["a", None], dtype="string"), ValueError, "no missing values, found 1 among 2"),
        (pd.Categorical(["a", None]), ValueError, "no missing values"),
        (np.ma.array([0, 1, 1], mask=[0, 1, 0]), ValueError, "1 masked values"),
        (np.ma.array(["a", "b"], mask=[0, 1]), ValueError, "1 masked values"),
        ([0, 1, "a"], TypeError, r"one kind .* found 0 \(int\) .* and 'a' \(str\) at index \(2,\)"),
        ([[0], [1, 2]], TypeError, r"found \[0\] \(list\) at index \(0,\)"),
        (pd.to_datetime(["2020-01-01", "2021-01-01"]), TypeError, "of dtype datetime64"),
        (pd.cut(pd.Series([1.0, 2.0]), 2), TypeError, r"found Interval\(.*\) \(Interval\)"),
        ([1j, 2], TypeError, "found 1j"),
        ("abc", TypeError, "a list or an array of one value per row, found 'abc'"),
        ({0, 1}, TypeError, "a list or an array of one value per row, found a set"),
        (None, TypeError, "found None"),
        (3, TypeError, "found 3"),
        (np.array([(0, 1)], "i4,i4"), TypeError, "labels must be an array of numbers"),
    ],
)
def test_bad_labels_are_explained(labels, error, message):
    with pytest.raises(error, match=message):
        ja.encode_targets(labels)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ((0, 1, 1), ValueError, r"classes must be different, found \[1\] more than once"),
        ((0, 0.0, 1), ValueError, "classes must be different"),
        ((0, True), TypeError, "classes must be of one kind"),
        ((0, "a"), TypeError, "classes must be of one kind"),
        ((0, None), ValueError, "classes must have no missing values"),
        ("ab", TypeError, "classes must be a list or an array .* found 'ab'"),
        ({0, 1}, TypeError, "classes must be a list or an array .* found a set"),
        (2, TypeError, r"found 2; pass range\(2\)"),
        ((), ValueError, "classes must not be empty"),
        ((0,), ValueError, "at least two classes"),
        ([[0, 1], [2, 3]], ValueError, "classes must be a list of values"),
        (("0", "1"), ValueError, r"among classes=\['0', '1'\], found \[0, 1\]"),
        ((1, 2), ValueError, r"among classes=\[1, 2\], found \[0\]"),
    ],
)
def test_bad_classes_are_explained(classes, error, message):
    with pytest.raises(error, match=message):
        ja.encode_targets([0, 1, 0], classes=classes)


@pytest.mark.slow  # torch takes seconds to import
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_labels_of_torch(dtype):
    torch = pytest.importorskip("torch", reason="labels of torch need torch")
    labels = torch.tensor([1, 0, 1], dtype=getattr(torch, dtype))
    for given_labels in (labels, labels[:, None], list(labels)):
        np.testing.assert_array_equal(ja.encode_targets(given_labels), [[1], [-1], [1]])


def test_traced_labels_need_classes():
    with pytest.raises(ValueError, match="pass classes="):
        jax.jit(ja.encode_targets)(jnp.array([0, 1]))
