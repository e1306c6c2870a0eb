"""Batches that are dicts, as grain's loaders give."""

import grain
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import inspect


@pytest.fixture(scope="module")
def rows():
    """24 rows of four numbers and labels of three classes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((24, 4)).astype(np.float32), rng.choice(["a", "b", "c"], 24)


@pytest.fixture(scope="module")
def layers():
    model = nnx.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))
    return ja.tap(model), nnx.state(model)


@pytest.mark.parametrize("method", ["moments", pytest.param("refined", marks=pytest.mark.slow)])
def test_a_loader_of_dicts_is_read_by_key_with_labels_of_classes(rows, layers, method):
    inputs, labels = rows
    samples = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(zip(*rows, strict=True))]
    loader = grain.MapDataset.source(samples).batch(8).to_iter_dataset()
    targets = np.asarray(ja.encode_targets(labels, classes=["a", "b", "c"]))
    pairs = [(inputs[i : i + 8], targets[i : i + 8]) for i in (0, 8, 16)]
    expected = inspect(*layers, pairs, method=method)
    found = inspect(*layers, loader, keys=("x", "y"), classes=["a", "b", "c"], method=method)
    for name, spectrum in expected.spectra.items():
        np.testing.assert_array_equal(found.spectra[name].energy, spectrum.energy)


def test_the_keys_there_are_are_named(rows, layers):
    batch = {"x": rows[0], "y": rows[1]}
    with pytest.raises(ValueError, match=r"batch 0 of batches must .*, found 'x', 'y'"):
        inspect(*layers, [batch])
    with pytest.raises(ValueError, match=r"batch 0: .*encode_targets"):
        inspect(*layers, [{"x": rows[0], "y": np.arange(24)}], keys=("x", "y"))
    with pytest.raises(ValueError, match=r"batch 0: .*'c'"):
        inspect(*layers, [batch], keys=("x", "y"), classes=["a", "b"])
    with pytest.raises(TypeError, match="keys must be the names"):
        inspect(*layers, [batch], keys="x")


def test_streams_of_features_are_read_by_key():
    features, targets = np.eye(4, dtype=np.float32), np.ones((4, 1), np.float32)
    weights = np.array([1, 1, 1, 0], np.float32)
    batches = [{"phi": features, "y": targets, "w": weights}]
    for method in ("moments", "refined"):
        found = ja.stream_spectrum(batches, keys=("phi", "y", "w"), method=method)
        expected = ja.stream_spectrum([(features, targets, weights)], method=method)
        np.testing.assert_array_equal(found.singular_values, expected.singular_values)
    with pytest.raises(ValueError, match="'features' and 'targets', found 'phi', 'y', 'w'"):
        ja.stream_spectrum(batches)
