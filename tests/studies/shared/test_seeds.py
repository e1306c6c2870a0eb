import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxalign.studies.shared.networks import RELU, TRANSFORMER
from jaxalign.studies.shared.problems import fashion_pair, resized
from jaxalign.studies.shared.seeds import initial, train_seeds
from jaxalign.training import one_of


@pytest.fixture(scope="module")
def problem():
    return resized(fashion_pair(2, 4, 60), 4)


def test_networks_depend_on_their_own_seed_alone(problem):
    one, two, again = map(nnx.state, initial(RELU, problem, [3, 4, 3]))

    def same(a, b):
        return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))

    assert same(one, again)
    assert not same(one, two)
    assert one["hidden_1"]["kernel"].get_value().std() == pytest.approx(
        0.25, rel=0.15
    )  # LeCun's, of 16 inputs


def test_measured_before_and_after_is_measured_all_along(problem):
    settings = {"seeds": [0, 1], "steps": 6, "batch_size": 20}
    ends, along = (
        train_seeds(RELU, problem, optax.adam(1e-2), **settings, every=every) for every in (None, 3)
    )
    assert (ends.measured.tolist(), along.measured.tolist()) == ([0, 6], [0, 3, 6])
    np.testing.assert_allclose(ends.loss, along.loss, rtol=1e-5)
    for name, record in ends.layers.items():
        np.testing.assert_allclose(record.area, along.layers[name].area[[0, 2]], rtol=1e-4)


def test_each_network_has_the_optimizer_of_its_number(problem):
    optimizers = [optax.sgd(0.1), optax.adam(1e-2)]
    settings = {"steps": 5, "batch_size": 20}
    both = train_seeds(
        RELU,
        problem,
        one_of(optimizers),
        seeds=[0, 0, 1],
        hyperparameters=jnp.array([0, 1, 1]),
        **settings,
    )
    alone = train_seeds(RELU, problem, optimizers[1], seeds=[0, 1], **settings)
    np.testing.assert_allclose(both.loss[:, 1:], alone.loss, rtol=1e-4)
    assert abs(both.loss[-1, 0] - alone.loss[-1, 0]) > 1e-3


def test_a_transformer_is_measured_at_its_class_token():
    problem = resized(fashion_pair(2, 4, 6), 8)
    (network,) = initial(TRANSFORMER, problem, [0])
    output, activations = TRANSFORMER.tap(network)(nnx.state(network), problem.inputs)
    assert {a.shape for a in activations.values()} == {(6, 32)}
    np.testing.assert_allclose(
        network.heads.head(activations["encoder.ln"]), output, rtol=1e-4, atol=1e-5
    )


def test_resized_images_keep_their_mean():
    whole = fashion_pair(2, 4, 20)
    small = resized(whole, 7)
    assert small.inputs.shape == (20, 7, 7, 1)
    np.testing.assert_allclose(
        small.inputs.mean(axis=(1, 2)), whole.inputs.mean(axis=(1, 2)), atol=0.1
    )
