import math
import subprocess
import sys

import pandas as pd
import pytest

from jaxalign.studies.framework.catalogue import study
from jaxalign.studies.framework.table import table_of, write_table

ROWS = [{"a": 1, "b": "x", "y": 0.5}, {"a": 1, "b": "z", "y": 1.5}, {"a": 2, "b": "x", "y": 2.5}]


def test_a_table_has_the_rows_and_columns_in_their_order():
    table = table_of(ROWS)
    assert list(table) == ["a", "b", "y"]
    assert table.to_dict("records") == ROWS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no rows"),
        ([{"a": 1}, {"a": 1, "b": 2}], "row 1 has a, b"),
        ([{"a": 1}, {"b": 1}], "row 1 has b"),
    ],
)
def test_rows_must_have_the_same_columns(rows, message):
    with pytest.raises(ValueError, match=message):
        table_of(rows)


def test_a_table_keeps_seven_digits_and_puts_values_under_their_columns(tmp_path):
    file = tmp_path / "table.csv"
    rows = [{"a": 1 / 3, "b": True, "c": "x, y"}, {"c": "z", "b": False, "a": math.nan}]
    write_table(table_of(rows), file)
    assert file.read_text() == 'a,b,c\n0.3333333,True,"x, y"\nnan,False,z\n'


def test_large_and_small_numbers_are_written_as_python_formats_them(tmp_path):
    values = [1.0, 1e-9, 123456789.0, 1e16, -0.1, math.inf, 2 / 3]
    write_table(pd.DataFrame({"x": values, "n": range(7)}), tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()[1:]
    assert lines == [f"{value:.7g},{n}" for n, value in enumerate(values)]


@pytest.mark.parametrize("package", ["pandas", "sklearn.datasets", "skimage.feature"])
def test_a_missing_package_of_the_extra_comes_with_what_installs_it(monkeypatch, package):
    from jaxalign.studies.framework.extra import require

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf'{package}; pip install "jaxalign\[studies\]"'):
        require(package)


def test_a_study_without_pandas_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for name in [name for name in sys.modules if name.startswith("jaxalign.studies.depth.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r'pandas; pip install "jaxalign\[studies\]"'):
        study("depth")


def test_another_missing_module_keeps_its_own_message(monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxalign.studies.depth.claim", raising=False)
    monkeypatch.setitem(sys.modules, "jaxalign.studies.depth.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"jaxalign\.studies\.depth\.figure"):
        study("depth")


@pytest.mark.slow
def test_the_catalogue_needs_no_package_of_the_extra():
    names = "('pandas', 'sklearn', 'skimage')"
    command = f"""
import sys
for name in {names}:
    sys.modules[name] = None
import jaxalign.studies.framework.catalogue, jaxalign.studies.framework.run
"""
    subprocess.run([sys.executable, "-c", command], check=True)
