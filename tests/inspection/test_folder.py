import json

import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import Inspected, curves, inspect, numbers, read_inspection, save
from jaxalign.inspection._folder import require_free
from jaxalign.inspection._numbers import usual_thresholds


@pytest.fixture(scope="module")
def found(net, data, cut):
    inspection = inspect(ja.tap(net), nnx.state(net), cut(32, *data))
    return Inspected(inspection, (1.0, 3.0), {"title": "a title"})


def test_what_is_read_is_what_was_saved(found, tmp_path):
    save(tmp_path, found)
    read = read_inspection(tmp_path)
    assert read.config == found.config
    assert read.thresholds == found.thresholds
    assert read.inspection.layers == found.inspection.layers
    assert list(read.inspection.layers) == list(found.inspection.layers)
    assert (read.inspection.left_out, read.inspection.samples) == ({}, 70)
    for name, s in found.inspection.spectra.items():
        for a, b in zip(read.inspection.spectra[name], s, strict=True):
            np.testing.assert_array_equal(a, b)


def test_numbers_and_curves_can_be_read_by_anybody(found, tmp_path):
    save(tmp_path, found)
    rows = json.loads((tmp_path / "layers.json").read_text())["layers"]
    for row, (name, expected) in zip(
        rows, numbers(found.inspection, found.thresholds).items(), strict=True
    ):
        assert row["name"] == name
        assert row["area"] == pytest.approx(expected.area, rel=1e-6)
        assert row["alignment"] == pytest.approx(expected.alignment.tolist(), rel=1e-6)
    with np.load(tmp_path / "spectra.npz") as arrays:
        for i, drawn in enumerate(curves(found.inspection, arrays["grid"]).values()):
            np.testing.assert_array_equal(arrays["curve"][i], drawn.curve)
            np.testing.assert_array_equal(arrays["null"][i], drawn.null)
            assert arrays["curve"][i][0] == 1


def test_nothing_is_replaced_unasked(found, tmp_path):
    save(tmp_path / "new", found)
    with pytest.raises(FileExistsError, match="--overwrite"):
        require_free(tmp_path / "new", overwrite=False)
    require_free(tmp_path / "new", overwrite=True)
    require_free(tmp_path / "free", overwrite=False)
    (tmp_path / "config.json").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"holds config\.json, no inspection"):
            require_free(tmp_path, overwrite=overwrite)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no inspection"):
        read_inspection(tmp_path)


@pytest.mark.parametrize(
    ("samples", "tau"), [(1000, (2, 5, 9)), (10_000, (5, 20, 30)), (9, (0.2, 0.4, 0.9))]
)
def test_usual_thresholds_have_one_digit(samples, tau):
    assert usual_thresholds(samples) == tau
