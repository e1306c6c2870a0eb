import numpy as np
import pytest

from jaxalign.data import Dataset, balanced_rows


def dataset(labels):
    return Dataset(
        np.arange(len(labels), dtype=np.float32)[:, None],
        np.array(labels, np.int32),
        ("a", "b"),
        "test",
    )


def test_first_keeps_balance_and_order():
    few = dataset([0, 0, 0, 0, 1, 0, 1, 1]).first(5)
    np.testing.assert_array_equal(few.inputs[:, 0], [0, 1, 2, 4, 6])
    assert sorted(np.bincount(few.labels)) == [2, 3]


@pytest.mark.parametrize("count", [1, 9])
def test_first_explains_impossible_counts(count):
    with pytest.raises(
        ValueError, match=rf"count must be from 2 \(the classes\) to 8 .*, found {count}"
    ):
        dataset([0, 0, 0, 0, 1, 0, 1, 1]).first(count)


def test_balanced_rows_take_classes_of_any_kind_in_turn():
    labels = np.array(["b", "a", "b", "b", "c", "a", "b"])
    assert balanced_rows(labels, 3).tolist() == [0, 1, 4]
    assert balanced_rows(labels, 5).tolist() == [0, 1, 2, 4, 5]
    assert balanced_rows(labels == "a", 7).tolist() == list(range(7))
    assert balanced_rows(labels[:, None].tolist(), 3).tolist() == [0, 1, 4]


@pytest.mark.parametrize(
    ("labels", "count", "message"),
    [
        ([0, 1], 0, "count must be from 1 to 2 .*, found 0"),
        ([0, 1], 3, "count must be from 1 to 2 .*, found 3"),
        ([[0, 1]], 1, r"labels must be class labels of shape \(n,\), found .* \(1, 2\)"),
        (["a", None], 1, "labels must have no missing values"),
    ],
)
def test_impossible_balanced_rows_are_explained(labels, count, message):
    with pytest.raises(ValueError, match=message):
        balanced_rows(labels, count)


def test_equal_data_have_equal_hashes():
    assert dataset([0, 1]).sha256() == dataset([0, 1]).sha256()
    assert dataset([0, 1]).sha256() != dataset([1, 0]).sha256()


def test_rows_must_match():
    with pytest.raises(ValueError, match="found 3 and 2"):
        Dataset(np.ones((3, 1), np.float32), np.zeros(2, np.int32), ("a", "b"), "test")
