"""The measure in one call is the calls it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign.alignment import usual_thresholds


@pytest.fixture
def layer(rng):
    activations = rng.standard_normal((60, 4, 4, 5)).astype(np.float32)
    return activations, (activations.mean(axis=(1, 2))[:, 0] > 0).astype(int)


def test_classes_are_measured_as_they_are(layer):
    activations, labels = layer
    found = ja.measure(activations, labels)
    phi = ja.prepare(activations, reduce="mean")
    targets = ja.encode_targets(labels)
    spectrum = ja.spectrum(phi, targets)
    null = ja.permutation_null(phi, targets)
    tau = usual_thresholds(60)
    assert not found.centered
    np.testing.assert_allclose(found.thresholds, tau)
    np.testing.assert_allclose(found.curve, ja.alignment_curve(spectrum, tau), rtol=1e-5)
    np.testing.assert_allclose(found.area, ja.alignment_area(spectrum), rtol=1e-5)
    np.testing.assert_array_equal(found.rank, ja.aligned_rank(spectrum))
    np.testing.assert_allclose(found.null_area, ja.alignment_area(null), rtol=1e-5)
    np.testing.assert_allclose(found.null_curve, ja.alignment_curve(null, tau), rtol=1e-5)
    np.testing.assert_allclose(found.null.energy, null.energy, rtol=1e-4, atol=1e-6)


def test_real_targets_are_measured_about_the_mean(layer):
    activations, _ = layer
    targets = np.asarray(activations[:, 0, 0, :2]) + 3
    found = ja.measure(activations, targets, [0.0, 1.0])
    centred = targets - targets.mean(axis=0)
    assert found.centered
    np.testing.assert_allclose(found.curve[0], (centred**2).sum(axis=0), rtol=1e-5)
    again = ja.measure(activations, centred, [0.0, 1.0])
    np.testing.assert_allclose(found.curve, again.curve, rtol=1e-4, atol=1e-4)
    raw = ja.measure(activations, targets, [0.0, 1.0], centered=False)
    assert (raw.curve[0] > 5 * found.curve[0]).all()


def test_traced_real_targets_need_centered(layer):
    activations, labels = layer
    with pytest.raises(ValueError, match="pass centered=True or centered=False"):
        jax.eval_shape(ja.measure, activations, jnp.asarray(labels, jnp.float32))


def test_its_repr_is_a_table_in_shares(layer):
    text = repr(ja.measure(*layer, thresholds=[0.5, 1.0]))
    lines = text.splitlines()
    assert lines[0].startswith("Alignment of 60 samples with 1 target, rank 6 of 6; shares of")
    assert lines[1].split()[-2:] == ["0.5", "1"]
    assert all(value.endswith("%") for value in lines[2].split()[1:])
    assert "by chance" in lines[4]


@pytest.mark.slow
def test_a_pytree_under_vmap_and_grad(layer):
    activations, labels = layer
    stack = jnp.stack([activations, 2 * activations])
    batch = jax.vmap(lambda x: ja.measure(x, labels, [1.0, 2.0]))(stack)
    for i in range(2):
        alone = ja.measure(stack[i], labels, [1.0, 2.0])
        np.testing.assert_allclose(batch.curve[i], alone.curve, rtol=1e-4)
        np.testing.assert_allclose(batch.area[i], alone.area, rtol=1e-4)
    assert "shape" in repr(batch)
    gradient = jax.grad(lambda x: ja.measure(x, labels).area.sum())(jnp.asarray(activations))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_bad_input_is_explained_by_what_it_calls(layer):
    activations, labels = layer
    with pytest.raises(ValueError, match="at least two classes"):
        ja.measure(activations, np.zeros(60, int))
    with pytest.raises(ValueError, match="features and targets must have as many rows"):
        ja.measure(activations, labels[:-1])
    with pytest.raises(ValueError, match="method must be"):
        ja.measure(activations, labels, method="fast")


def test_targets_of_zeros_have_no_shares(layer):
    lines = repr(ja.measure(layer[0], np.zeros(len(layer[0])), thresholds=[0.5])).splitlines()
    assert lines[2].split()[-1] == "nan%"
