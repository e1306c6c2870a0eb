import numpy as np
import optax
import pytest

from jaxalign.studies.networks import RELU
from jaxalign.studies.problems import fashion_pair
from jaxalign.studies.seeds import train_seeds


@pytest.fixture(scope="module")
def trained():
    """Three seeds of an MLP in one call."""
    return train_seeds(RELU, fashion_pair(2, 4, 60), optax.adam(1e-3), seeds=(0, 1, 7), steps=20, measured=40)


def test_seeds_are_an_axis_after_the_steps_measured_before_and_after(trained):
    assert trained.measured.tolist() == [0, 20]
    assert list(trained.layers) == ["input", "hidden_1", "hidden_2", "hidden_3"]
    assert trained.total == 40
    for record in trained.layers.values():
        assert record.area.shape == (2, 3)


def test_inputs_are_the_same_to_every_seed_and_networks_are_not(trained):
    inputs, last = trained.layers["input"].area, trained.layers["hidden_3"].area
    np.testing.assert_allclose(inputs, inputs[0, 0], rtol=1e-6)
    assert len(np.unique(last[0])) == len(np.unique(last[1])) == 3
    assert (last[1] > last[0]).all()
    assert (trained.loss[-1] < trained.loss[0]).all()


def test_a_seed_means_the_same_whatever_is_trained_beside_it(trained):
    alone = train_seeds(RELU, fashion_pair(2, 4, 60), optax.adam(1e-3), seeds=(7,), steps=20, measured=40)
    np.testing.assert_allclose(alone.layers["hidden_3"].area[:, 0], trained.layers["hidden_3"].area[:, 2], rtol=1e-3)
    np.testing.assert_allclose(alone.loss[:, 0], trained.loss[:, 2], rtol=1e-3, atol=1e-5)
