import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.data import read_csv


def written(folder, text: str):
    file = folder / "some.csv"
    file.write_bytes(text.encode())
    return file


@given(
    columns=st.integers(1, 4),
    rows=st.integers(1, 5),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    header=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_reads_what_was_written(tmp_path_factory, columns, rows, separator, end, header, seed):
    rng = np.random.default_rng(seed)
    values, labels = (
        rng.standard_normal((rows, columns)).astype(np.float32),
        rng.integers(0, 9, rows),
    )
    lines = [
        separator.join([*map(str, row.tolist()), str(label)])
        for row, label in zip(values, labels, strict=True)
    ]
    if header:
        lines.insert(0, separator.join(f"c{i}" for i in range(columns + 1)))
    found = read_csv(written(tmp_path_factory.mktemp("csv"), end.join(lines) + end))
    np.testing.assert_array_equal(found.inputs, values)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype.kind == "i"


def test_the_column_of_labels_by_name_or_number(tmp_path):
    file = written(tmp_path, "kind,a,b\nx,1,2\ny,3,4\n")
    found = read_csv(file, label="kind")
    assert (found.inputs.tolist(), found.labels.tolist()) == ([[1, 2], [3, 4]], ["x", "y"])
    found = read_csv(written(tmp_path, "1,2,3\n4,5,6\n"), label="1")
    assert (found.inputs.tolist(), found.labels.tolist()) == ([[2, 3], [5, 6]], [1, 4])


def test_a_header_over_text_labels_and_quotes_and_a_byte_order_mark(tmp_path):
    found = read_csv(written(tmp_path, '\ufeff"a, b",kind\n1.5,"x, y"\n\n2.5,z\n'))
    assert (found.inputs.tolist(), found.labels.tolist()) == ([[1.5], [2.5]], ["x, y", "z"])


def test_labels_with_a_fraction_are_floats(tmp_path):
    assert read_csv(written(tmp_path, "1,0.5\n2,3\n")).labels.tolist() == [0.5, 3.0]


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        ("", None, "is empty"),
        ("a,b\n", None, "line 1, column 'column 1'"),
        ("1\n2\n", None, "at least one number and a label"),
        ("a,b,c\n1,2,x\n1,x\n", None, "line 3 .*3 fields, as the first line, found 2"),
        ("a,b,c\n1,2,x\n1,2,x,4\n", None, "line 3 .*found 4"),
        ("a,b,c\n1,2,x\n1,oops,x\n", None, "line 3, column 'b' .*found 'oops'"),
        ("a,b,c\n1,2,x\n1,,x\n", None, "line 3, column 'b' .*found nothing"),
        ("a,b,c\n1,2,x\n1,2,\n", None, "line 3, column 'c' .*found nothing"),
        ("a,b,c\n1,2,x\n1,nan,x\n", None, "line 3, column 'b' .*found 'nan'"),
        ("a,b,c\n1,2,x\n\n1,inf,x\n", None, "line 4, column 'b' .*found 'inf'"),
        ("a,b\n1,2\n", "c", "no column 'c' for the labels; its columns are a, b"),
        ("a,a\n1,2\n", "a", "2 columns named 'a'"),
        ("1,2\n3,4\n", "7", "numbered 1 to 2"),
        ('a,b\n1,"2\n', None, "cannot be read as a .csv"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, label, message):
    with pytest.raises(ValueError, match=message):
        read_csv(written(tmp_path, text), label=label)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "some.csv").write_bytes(b"\xff\xfe\x00a,\xd8")
    with pytest.raises(ValueError, match="UTF-8"):
        read_csv(tmp_path / "some.csv")
