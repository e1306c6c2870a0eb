"""Tables in text give the values that were written, or an error that says what to pass."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.data import read_csv


def written(folder, text: str | bytes):
    file = folder / "some.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@given(
    columns=st.integers(1, 8),
    rows=st.integers(2, 6),
    marks=st.sampled_from(
        [(",", "."), (";", "."), (";", ","), ("\t", ","), (",", ","), ("|", ".")]
    ),
    index=st.booleans(),
    names=st.sampled_from(["text", "numbers", "quoted"]),
    labels=st.sampled_from(["integers", "floats", "text", "codes"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    end=st.sampled_from(["\n", "\r\n"]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_what_pandas_writes_comes_back(
    tmp_path_factory, columns, rows, marks, index, names, labels, encoding, end, seed
):
    separator, decimal = marks
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-3, 12, columns)
    kinds = {
        "integers": rng.integers(-9, 2**40, rows),
        "floats": rng.standard_normal(rows) * 1e9,
        "text": np.array(["café, noir", 'the "third"', "b;c"])[rng.integers(0, 3, rows)],
        "codes": np.array(["007", "7", "010"])[np.append(0, rng.integers(0, 3, rows - 1))],
    }
    titles = {
        "text": [f"c{i}" for i in range(columns)],
        "numbers": list(range(columns)),
        "quoted": [f"a{separator} {i}" for i in range(columns)],
    }
    table = pd.DataFrame(values, columns=titles[names]).assign(kind=kinds[labels])
    file = tmp_path_factory.mktemp("csv") / "some.csv"
    table.to_csv(
        file, sep=separator, decimal=decimal, index=index, encoding=encoding, lineterminator=end
    )
    given_encoding = "utf-8" if encoding.startswith("utf") else encoding
    found = read_csv(file, encoding=given_encoding, label="kind")
    np.testing.assert_array_equal(found.inputs, values)
    np.testing.assert_array_equal(found.labels, kinds[labels])
    assert (found.inputs.dtype, found.labels.dtype.kind) == (np.float64, kinds[labels].dtype.kind)


@given(
    rows=st.integers(4, 12),
    unknown=st.sampled_from(["", "NA", "nan", "?", "NULL"]),
    colours=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=25, deadline=None)
def test_missing_values_and_categories_as_pandas_has_them(
    tmp_path_factory, rows, unknown, colours, seed
):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"a": rng.standard_normal(rows), "b": rng.standard_normal(rows)})
    if colours:
        table.insert(1, "c", rng.choice(["red", "blue", "green"], rows))
    table["y"] = rng.integers(0, 3, rows).astype(str)
    gaps = rng.random(table.shape) < 0.1
    gaps[0] = False
    table = table.astype(object).mask(gaps)
    file = tmp_path_factory.mktemp("csv") / "some.csv"
    table.to_csv(file, index=False, na_rep=unknown)
    known = table.dropna()
    expected = known.drop(columns="y")
    if colours:
        dummies = pd.get_dummies(known["c"], dtype=float)
        expected = pd.concat([known[["a"]], dummies, known[["b"]]], axis=1)
    found = read_csv(file, missing="drop", categories="one-hot", header=True)
    np.testing.assert_array_equal(found.inputs, expected.to_numpy(float))
    np.testing.assert_array_equal(found.labels, known["y"].to_numpy(int))
    assert ("that lack a value" in found.source) == (len(known) < rows)


IRIS = "5.1,3.5,setosa\n6.2,2.9,virginica\n6.3,3.3,virginica\n"
IRIS_INPUTS = [[5.1, 3.5], [6.2, 2.9], [6.3, 3.3]]
IRIS_LABELS = ["setosa", "virginica", "virginica"]
AB = [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "inputs", "labels", "options"),
    [
        # Headers.
        ("0,1,species\n" + IRIS, IRIS_INPUTS, IRIS_LABELS, {}),
        ("400,402,species\n" + IRIS, IRIS_INPUTS, IRIS_LABELS, {"header": True}),
        (IRIS.replace("setosa", "virginica"), IRIS_INPUTS, ["virginica"] * 3, {}),
        ("0,1,2\n5.1,3.5,0\n6.2,2.9,1\n", [[5.1, 3.5], [6.2, 2.9]], [0, 1], {}),
        ("0,1\n1,0\n1,1\n", [[0], [1], [1]], [1, 0, 1], {"header": False}),
        ("0,1\n1,0\n1,1\n", [[1], [1]], [0, 1], {"header": True}),
        ("kind,a,b\nx,1,2\ny,3,4\n", AB, ["x", "y"], {"label": "kind"}),
        ("1,2,3\n4,5,6\n", [[2, 3], [5, 6]], [1, 4], {"label": "1"}),
        ("a,y\nTrue,x\nFALSE,z\n", [[1], [0]], ["x", "z"], {}),
        # Indexes.
        (",a,b,y\n0,1,2,x\n1,3,4,z\n", AB, ["x", "z"], {}),
        (",Unnamed: 0,a,b,y\n0,0,1,2,x\n1,1,3,4,z\n", AB, ["x", "z"], {}),
        ('"","a","b","y"\n"one",1,2,"x"\n"two",3,4,"z"\n', AB, ["x", "z"], {}),
        ("a,b,ID,y\n1,2,1,x\n3,4,2,z\n", AB, ["x", "z"], {}),
        ("id,a,b,y\n01,1,2,x\n02,3,4,z\n", AB, ["x", "z"], {}),
        ("a,b,index,y\n1,2,0.0,x\n3,4,1.0,z\n", AB, ["x", "z"], {}),
        ("id,a,y\n7,1,x\n9,2,z\n", [[7, 1], [9, 2]], ["x", "z"], {}),
        ("1,5,x\n2,6,z\n3,7,x\n", [[5], [6], [7]], ["x", "z", "x"], {"ignore": ("1",)}),
        # Separators, quotes, decimal marks, encodings.
        ('"a,b,c";"d"\n1;2\n3;4\n', [[1], [3]], [2, 4], {}),
        ('a|"b;|c"|y\n1|2|0\n3|4|1\n', AB, [0, 1], {}),
        ("1,5;2,5;x\n2,25;3,5;z\n", [[1.5, 2.5], [2.25, 3.5]], ["x", "z"], {}),
        ("a\ty\n1,234\t0\n2,345\t1\n", [[1.234], [2.345]], [0, 1], {"decimal": ","}),
        ("a,y,\n1.5,x,\n2.5,z,\n", [[1.5], [2.5]], ["x", "z"], {}),
        ("1.5;x;\n2.5;z;\n", [[1.5], [2.5]], ["x", "z"], {}),
        ('a,y\n1.5,"x, y"\n\n,\n2.5,z\n', [[1.5], [2.5]], ["x, y", "z"], {}),
        (" a, b , y\n 1, 2 , 0\n 3, 4, 1\n", AB, [0, 1], {}),
        ("a,y\r1,0\r2,1", [[1], [2]], [0, 1], {}),
        ("a,y\n1,\u00e9\n2,b\n".encode("cp1252"), [[1], [2]], ["é", "b"], {"encoding": "cp1252"}),
        # Labels.
        ("a,y\n1,007\n2,7\n", [[1], [2]], ["007", "7"], {}),
        ("1,0.5\n2,3\n", [[1], [2]], [0.5, 3], {}),
        ("a,y\n1,9223372036854775808\n2,1\n", [[1], [2]], ["9223372036854775808", "1"], {}),
        ("a,y\n1,1\n2,A\n3,A\n", [[1], [2], [3]], ["1", "A", "A"], {}),
        # Missing values and categories.
        ("a,y\n1,x\n,z\nNA,z\n3,?\n4,z\n", [[1], [4]], ["x", "z"], {"missing": "drop"}),
        (
            "a,c,y\n1,red,0\n2,blue,1\n3,red,1\n",
            [[1, 0, 1], [2, 1, 0], [3, 0, 1]],
            [0, 1, 1],
            {"categories": "one-hot"},
        ),
        ("a,c,y\n1,red,0\n3,blue,1\n", [[1], [3]], [0, 1], {"ignore": ("c",)}),
        # Precision.
        ("a,y\n16777217,0\n.1,1\n", [[16777217], [0.1]], [0, 1], {}),
    ],
)
def test_what_has_one_reading_is_read(tmp_path, text, inputs, labels, options):
    found = read_csv(written(tmp_path, text), **options)
    assert (found.inputs.tolist(), found.labels.tolist()) == (inputs, labels)


def test_dropped_rows_are_told(tmp_path):
    found = read_csv(written(tmp_path, "a,y\n1,x\n,z\n3,x\n"), missing="drop")
    assert found.source == "some.csv without 1 of 3 rows that lack a value"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "is empty"),
        ("a,b\n", {}, "rows below its header, found none"),
        ("1\n2\n", {}, "at least one number and a label"),
        ("a b y\n1 2 0\n", {}, "fields are separated by a comma, semicolon, tab or |"),
        ("a,b,c\n1,2,x\n1,x\n", {}, "line 3 .*3 fields, as the first line, found 2"),
        ("a,b,c\n1,2,x\n1,2,x,4\n", {}, "line 3 .*found 4"),
        ("a,b,c\n1,2,x\n1,oops,x\n", {}, "line 3, column 'b': found 'oops'; a finite number"),
        ("a,b,c\noops,2,x\n1,2,x\n3,4,y\n", {}, "line 2, column 'a': found 'oops'"),
        ("a,b,c\n1,2,x\n1,,x\n", {}, "line 3, column 'b': found ''; the value is missing.*drop"),
        ("a,b,c\n1,2,x\n1,2,\n", {}, "line 3, column 'c': found ''"),
        ("a,b,c\n1,2,x\n1,nan,x\n", {}, "line 3, column 'b': found 'nan'"),
        ("a,b,c\n1,2,x\n\n1,inf,x\n", {}, "line 4, column 'b': found 'inf'"),
        ("a,b\n1,2\n1e999,3\n", {}, "line 3, column 'a': found '1e999'.*range of float64"),
        ("a,b\n1,2\n9007199254740993,3\n", {}, "float64 holds 9007199254740992 in its place"),
        ("a,b\n1,2\n+9007199254740993.0,3\n", {}, "float64 holds 9007199254740992 in its place"),
        ("a,b\n1,2\n0e5,4\n-2.0e-400,3\n", {}, "line 4, column 'a'.*float64 holds 0 in its place"),
        ("a,b\n1,2\n5,1e-999\n", {}, "line 3, column 'b'.*float64 holds 0 in its place"),
        ("a,b\n1,2\n1_000,3\n", {}, "found '1_000'"),
        ("a,b\n1,2\n\u0663,3\n", {}, "found '\u0663'"),
        ("a,b\n1,2\n", {"label": "c"}, "no column 'c'; its columns are a, b"),
        ("a,a\n1,2\n", {"label": "a"}, "2 columns named 'a'"),
        ("1,2\n3,4\n", {"label": "7"}, "no column '7'; its columns are 1, 2"),
        ("a,b\n1,2\n", {"ignore": ("a",)}, "a column of inputs beside the labels"),
        ("a,b\n1,2\n", {"ignore": ("b",)}, "ignore must not hold the column of labels"),
        ("a,b\n1,2\n", {"ignore": ("c",)}, "no column 'c'"),
        ('a,b\n1,"2\n', {}, r"line 2 .* cannot be read as a \.csv line"),
        ("0,1\n1,0\n1,1\n", {}, "may be a header or data; pass header=True or header=False"),
        ("oops,2,3\n4,5,6\n7,8,9\n", {}, "may be a header or data"),
        ("red,x\nblue,y\n", {}, "may be a header or data"),
        ("400,402,404,406,408,410\n2,1,3,4,5,6\n2,1,3,4,5,6\n", {}, "may be a header or data"),
        ("5,3,1\n4.5,3.0,1.5\n4.5,3.0,1.5\n4.5,2.0,0.5\n", {}, "may be a header or data"),
        ("1,5,x\n2,6,z\n3,7,x\n", {}, r"counts the rows; pass ignore=\('1',\)"),
        ("a,id\n5,0\n6,1\n", {}, "'id', counts the rows; pass label="),
        ("1,A;B,5\n2,C;D,3\n", {}, "separator .* may be ';' or ','"),
        ("a\ty\n1,234\t0\n2,345\t1\n", {}, "whether its comma is decimal is not clear"),
        ("a;b;y\n1,5;2.5;0\n2,5;3.5;1\n", {}, "whether its comma is decimal is not clear"),
        ('a,y\n"1,5",0\n"2,5",1\n', {"decimal": "."}, "found '1,5'"),
        ("a,y\n1,7.0\n2,7\n", {}, "the same number is also written otherwise"),
        ("a,y\n1,0\n2,1\n3,oops\n4,1\n", {}, "line 4, column 'y': found 'oops'; the other labels"),
        ("a,c,y\n1,red,x\n2,blue,z\n", {}, r"categories='one-hot', or ignore=\('c',\)"),
        ("a,c,y\n1,2,x\n2,oops,z\n", {"categories": "one-hot"}, "found 'oops'; a finite"),
        (
            "c,y\n" + "".join(f"name{i},{i % 2}\n" for i in range(101)),
            {"categories": "one-hot"},
            "101 different texts are not categories",
        ),
        ("a,y\n,1\nNA,2\n", {"missing": "drop", "header": True}, "every row lacks a value"),
        (b"a,\xff\n1,2\n", {}, "cannot be read as text in utf-8.* encoding='latin-1'"),
        (b"a,b\n1,2\n", {"encoding": "klingon"}, "unknown encoding: klingon"),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, "NUL characters"),
        ("a,b\n1,2\n", {"missing": "skip"}, "missing must be one of"),
    ],
)
def test_what_is_wrong_or_has_two_readings_is_refused(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        read_csv(written(tmp_path, text), **options)


def test_no_file_and_one_name_for_several(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file at"):
        read_csv(tmp_path / "none.csv")
    file = written(tmp_path, "a,b\n1,2\n")
    for ignore in ("a", None, 1):
        with pytest.raises(TypeError, match=r"ignore must be a sequence of names, found .*; pass"):
            read_csv(file, ignore=ignore)
    with pytest.raises(TypeError, match="label must be a text, found 2; pass '2'"):
        read_csv(file, label=2)
    with pytest.raises(ValueError, match=r"cannot be read as text in None.*pass the encoding"):
        read_csv(file, encoding=None)
