import json
import shutil
from dataclasses import fields

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.alignment import usual_thresholds
from jaxalign.inspection import Inspected, curves, numbers, read_inspection, save
from jaxalign.inspection._folder import require_free


@pytest.fixture(scope="module")
def found(usual):
    return Inspected(usual, (1.0, 3.0), {"title": "a title"})


@pytest.fixture(scope="module")
def folder(found, tmp_path_factory):
    """The found inspection on disk, to be read only."""
    path = tmp_path_factory.mktemp("inspections") / "made" / "when needed"
    save(path, found)
    return path


@pytest.mark.slow
def test_what_is_read_is_what_was_saved(found, folder):
    read = read_inspection(folder)
    assert read.config == found.config
    assert read.thresholds == found.thresholds
    assert read.inspection.layers == found.inspection.layers
    assert list(read.inspection.layers) == list(found.inspection.layers)
    assert (read.inspection.left_out, read.inspection.num_samples) == ({}, 70)
    assert read.inspection.centered is found.inspection.centered is False
    for kind in ("spectra", "nulls"):
        for name, s in getattr(found.inspection, kind).items():
            for field in fields(ja.Spectrum):
                stored = getattr(getattr(read.inspection, kind)[name], field.name)
                np.testing.assert_array_equal(stored, getattr(s, field.name))
                assert np.asarray(stored).dtype == np.asarray(getattr(s, field.name)).dtype


def test_numbers_and_curves_can_be_read_by_anybody(found, folder):
    rows = json.loads((folder / "layers.json").read_text())["layers"]
    for row, (name, expected) in zip(
        rows, numbers(found.inspection, found.thresholds).items(), strict=True
    ):
        assert row["name"] == name
        assert row["area"] == pytest.approx(expected.area, rel=1e-6)
        assert row["null_area"] == pytest.approx(expected.null_area, rel=1e-6)
        assert row["alignment"] == pytest.approx(expected.alignment.tolist(), rel=1e-6)
        assert row["null_alignment"] == pytest.approx(expected.null_alignment.tolist(), rel=1e-6)
    with np.load(folder / "spectra.npz") as arrays:
        for i, drawn in enumerate(curves(found.inspection, arrays["grid"]).values()):
            np.testing.assert_array_equal(arrays["curve"][i], drawn.curve)
            np.testing.assert_array_equal(arrays["null_curve"][i], drawn.null_curve)
            assert arrays["curve"][i][0] == 1


def test_the_config_says_how_it_was_measured(folder):
    assert json.loads((folder / "config.json").read_text()) == {
        "title": "a title",
        "measured": {
            "num_samples": 70,
            "centered": False,
            "reduce": {"input": "flatten", "conv": "mean", "norm": "mean", "head": "mean"},
        },
    }


def test_a_folder_of_the_old_layout_is_refused_by_name(found, tmp_path):
    save(tmp_path, found)
    layers = json.loads((tmp_path / "layers.json").read_text())
    for row in layers["layers"]:
        row["chance"] = row.pop("null_alignment")
    (tmp_path / "layers.json").write_text(json.dumps(layers))
    with pytest.raises(
        ValueError, match=r"another version .* differs in chance, null_alignment\); .*--overwrite"
    ):
        read_inspection(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="measured"):
        read_inspection(tmp_path)
    require_free(tmp_path, overwrite=True)


def test_nothing_is_replaced_unasked(folder, tmp_path):
    with pytest.raises(FileExistsError, match="--overwrite"):
        require_free(folder, overwrite=False)
    require_free(folder, overwrite=True)
    require_free(tmp_path / "free", overwrite=False)
    (tmp_path / "config.json").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"holds config\.json, no inspection"):
            require_free(tmp_path, overwrite=overwrite)
    with pytest.raises(NotADirectoryError, match=r"config\.json is a file; name another one"):
        require_free(tmp_path / "config.json", overwrite=False)


def test_what_cannot_be_saved_leaves_what_was_there(found, tmp_path):
    of_numpy = Inspected(found.inspection, tuple(np.float32([1, 3])), {})
    save(tmp_path, of_numpy)
    assert read_inspection(tmp_path).thresholds == (1.0, 3.0)
    with pytest.raises(TypeError, match="config must hold what JSON can"):
        save(tmp_path, Inspected(found.inspection, (1.0,), {"mine": np.float32(1)}))
    assert read_inspection(tmp_path).thresholds == (1.0, 3.0)


@pytest.mark.parametrize("name", ["layers.json", "config.json", "spectra.npz"])
@pytest.mark.parametrize("damage", [lambda content: content[:60], lambda content: b"[]"])
def test_a_damaged_file_is_told_as_such(folder, tmp_path, name, damage):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    with pytest.raises(ValueError, match=r"copy holds an inspection that is damaged .*--overwrite"):
        read_inspection(copy)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no inspection"):
        read_inspection(tmp_path)


@pytest.mark.parametrize(
    ("num_samples", "tau"), [(1000, (2, 5, 9)), (10_000, (5, 20, 30)), (9, (0.2, 0.4, 0.9))]
)
def test_usual_thresholds_have_one_digit(num_samples, tau):
    assert usual_thresholds(num_samples) == tau
