import numpy as np
import pytest

from jaxalign.data import Dataset


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


def test_equal_data_have_equal_hashes():
    assert dataset([0, 1]).sha256() == dataset([0, 1]).sha256()
    assert dataset([0, 1]).sha256() != dataset([1, 0]).sha256()


def test_rows_must_match():
    with pytest.raises(ValueError, match="found 3 and 2"):
        Dataset(np.ones((3, 1), np.float32), np.zeros(2, np.int32), ("a", "b"), "test")
