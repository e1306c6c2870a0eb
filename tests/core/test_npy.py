import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign._core.npy import append_rows


@given(
    parts=st.lists(st.integers(0, 12), min_size=1, max_size=8),
    row=st.sampled_from([(), (3,), (2, 0), (2, 3)]),
)
@settings(max_examples=40)
def test_is_the_concatenation_after_every_append(tmp_path_factory, parts, row):
    file = tmp_path_factory.mktemp("array") / "rows.npy"
    rng, whole = np.random.default_rng(0), np.empty((0, *row), np.float32)
    for count in parts:
        rows = rng.standard_normal((count, *row)).astype(np.float32)
        append_rows(file, rows)
        whole = np.concatenate([whole, rows])
        np.testing.assert_array_equal(np.load(file), whole)


def test_many_digits_fit_the_header(tmp_path):
    file = tmp_path / "rows.npy"
    for count in (9, 90, 900, 9000, 90_000):
        append_rows(file, np.zeros((count, 1), np.int8))
    assert np.load(file).shape == (99_999, 1)


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    file = tmp_path / "rows.npy"
    append_rows(file, np.ones((2, 3)))
    with open(file, "ab") as stream:
        stream.write(b"half a row")
    assert np.load(file).shape == (2, 3)
    append_rows(file, np.full((1, 3), 2.0))
    np.testing.assert_array_equal(np.load(file), [[1, 1, 1], [1, 1, 1], [2, 2, 2]])


def test_rows_of_another_kind_are_refused(tmp_path):
    file = tmp_path / "rows.npy"
    append_rows(file, np.ones((2, 3)))
    for rows in (np.ones((2, 4)), np.ones((2, 3), np.float32)):
        with pytest.raises(ValueError, match="holds rows"):
            append_rows(file, rows)
