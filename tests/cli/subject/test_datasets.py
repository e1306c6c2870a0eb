"""Data sets that Hugging Face's library saved, as the data of commands."""

import json

import numpy as np
import pytest

from jaxalign.cli.subject.data import load_examples
from jaxalign.cli.subject.options import DataOptions
from jaxalign.cli.subject.sources import has_test_part

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")


@pytest.fixture
def folder(tmp_path):
    """Two parts of rows of two numbers, of two classes."""
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
    for i, part in enumerate(("train", "validation")):
        (tmp_path / part).mkdir()
        table = pa.table({"x": np.full((6, 2), i).tolist(), "y": list("ababab"), "z": [1.5] * 6})
        with pa.ipc.new_stream(str(tmp_path / part / "data.arrow"), table.schema) as stream:
            stream.write_table(table)
        state = {"_data_files": [{"filename": "data.arrow"}]}
        (tmp_path / part / "state.json").write_text(json.dumps(state))
    return tmp_path


def test_parts_and_columns_are_chosen_by_options(folder):
    options = DataOptions(data=str(folder), inputs="x", label="y")
    assert has_test_part(options)
    for i, part in enumerate(("train", "test")):
        examples = load_examples(options, part)
        assert examples.class_names == ("a", "b")
        assert (examples.rows(0, 6) == i).all()
    one = DataOptions(data=str(folder / "train"), inputs="x", label="y")
    assert not has_test_part(one)
    assert len(load_examples(one)) == 6
    with pytest.raises(ValueError, match="--header would change nothing"):
        load_examples(DataOptions(data=str(folder), header="yes"))
