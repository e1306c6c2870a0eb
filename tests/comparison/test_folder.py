import csv
import dataclasses

import numpy as np
import pytest

from jaxalign.comparison import Compared, compare, read_comparison, save
from jaxalign.comparison._folder import require_free


def test_what_is_saved_is_read_back(sides, targets, tmp_path):
    compared = Compared(compare(*sides, targets=targets), {"title": "both"})
    save(tmp_path, compared)
    found = read_comparison(tmp_path)
    assert found.config == compared.config
    for field in dataclasses.fields(compared.comparison):
        if field.name not in ("pairs", "alignments", "differences"):
            name = field.name
            assert getattr(found.comparison, name) == getattr(compared.comparison, name), name
    before, after = compared.comparison, found.comparison
    np.testing.assert_allclose(after.pairs.values, before.pairs.values, rtol=1e-6)
    np.testing.assert_allclose(after.pairs.chance.p_value, before.pairs.chance.p_value, rtol=1e-6)
    assert after.alignments[0]["known"].area == pytest.approx(before.alignments[0]["known"].area)
    assert after.differences[0].low == pytest.approx(before.differences[0].low)

    with (tmp_path / "similarity.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    assert (rows[1]["first"], rows[1]["second"]) == ("known", "wide")
    assert float(rows[1]["value"]) == pytest.approx(before.pairs.values[0, 1])
    assert rows[-1]["value"] == ""  # NaN of the constant layer


def test_a_folder_is_replaced_only_on_request_and_only_a_comparison(sides, tmp_path):
    save(tmp_path / "a", Compared(compare(*sides), {}))
    with pytest.raises(FileExistsError, match="replace it with overwrite"):
        require_free(tmp_path / "a", overwrite=False)
    require_free(tmp_path / "a", overwrite=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.jsonl").touch()
    with pytest.raises(FileExistsError, match="no comparison; name another"):
        require_free(tmp_path / "run", overwrite=True)
    with pytest.raises(FileNotFoundError, match="holds no comparison"):
        read_comparison(tmp_path / "run")
    (tmp_path / "a" / "comparison.json").write_text('{"measure": 1}')
    with pytest.raises(ValueError, match="damaged or by another version"):
        read_comparison(tmp_path / "a")
    (tmp_path / "a" / "comparison.json").write_text("[]")
    with pytest.raises(ValueError, match="damaged or by another version"):
        read_comparison(tmp_path / "a")
