from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.shared.networks import RELU, TRANSFORMER, mlp
from jaxalign.studies.shared.problems import fashion_pair, resized
from jaxalign.studies.shared.seeds import (
    Trained,
    area,
    in_span,
    initial,
    monitor_of,
    share,
    train_seeds,
)
from jaxalign.training import fit, one_of

SMALL = mlp("small", jax.nn.relu, (32, 32))
RUN = {"steps": 12, "batch_size": 20}


@pytest.fixture(scope="module")
def problem():
    return resized(fashion_pair(2, 4, 60), 4)


@pytest.fixture(scope="module")
def trained(problem):
    """Two networks trained by Adam."""
    return train_seeds(SMALL, problem, optax.adam(1e-2), seeds=[0, 1], **RUN)


def test_networks_depend_on_their_own_seed_alone(problem):
    one, two, again = map(nnx.state, initial(RELU, problem, [3, 4, 3]))

    def same(a, b):
        return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))

    assert same(one, again)
    assert not same(one, two)
    assert one["hidden_1"]["kernel"].get_value().std() == pytest.approx(
        0.25, rel=0.15
    )  # LeCun's, of 16 inputs


@pytest.mark.slow
def test_measured_before_and_after_is_measured_all_along(problem, trained):
    networks = initial(SMALL, problem, [0, 1])
    _, along = fit(
        networks,
        optax.adam(1e-2),
        problem.inputs,
        problem.labels,
        monitor=monitor_of(SMALL.tap(networks[0]), problem, {"area": area}),
        every=6,
        seed=[0, 1],
        objective=problem.objective,
        **RUN,
    )
    assert along.measured.tolist() == [0, 6, 12]
    assert list(trained.layers) == list(along.layers)
    assert trained.total == 60
    np.testing.assert_allclose(trained.loss, along.loss, rtol=1e-5)
    for name, values in trained.layers.items():
        assert values["area"].shape == (2, 2)
        expected = np.asarray(along.layers[name]["area"])[[0, 2]]
        np.testing.assert_allclose(values["area"], expected, rtol=1e-4)


def test_the_last_loss_is_that_of_the_last_tenth_of_the_steps():
    loss = np.arange(40.0).reshape(20, 2)
    trained = Trained(loss, OrderedDict(), 1.0)
    np.testing.assert_array_equal(trained.first_loss, [0, 1])
    np.testing.assert_array_equal(trained.last_loss, [37, 38])
    np.testing.assert_array_equal(Trained(loss[:3], OrderedDict(), 1.0).last_loss, [4, 5])


@pytest.mark.slow
def test_each_network_has_the_optimizer_of_its_number(problem, trained):
    optimizers = [optax.sgd(0.1), optax.adam(1e-2)]
    both = train_seeds(
        SMALL,
        problem,
        one_of(optimizers),
        seeds=[0, 0, 1],
        hyperparameters=jnp.array([0, 1, 1]),
        **RUN,
    )
    np.testing.assert_allclose(both.loss[:, 1:], trained.loss, rtol=1e-4)
    assert abs(both.loss[-1, 0] - trained.loss[-1, 0]) > 1e-3


@pytest.mark.slow
def test_other_rows_are_measured_with_the_same_networks(problem, trained):
    others = problem.take(np.arange(40))
    both = train_seeds(
        SMALL,
        problem,
        optax.adam(1e-2),
        seeds=[0, 1],
        measures={"area": area, "share": share, "in_span": in_span},
        held_out=others,
        **RUN,
    )
    assert list(both.by_rows) == [TRAINED_ON, HELD_OUT]
    for name, values in both.layers.items():
        np.testing.assert_allclose(values["area"], trained.layers[name]["area"], rtol=1e-4)
        np.testing.assert_allclose(values["share"], values["area"] / 60**1.5, rtol=1e-5)
        assert (values["share"] <= values["in_span"] * (1 + 1e-6)).all()
        assert (values["in_span"] <= 1 + 1e-6).all()
    network = initial(SMALL, problem, [1])[0]
    alone = monitor_of(SMALL.tap(network), others, {"share": share})(nnx.state(network))
    for name, values in alone.items():
        np.testing.assert_allclose(both.held_out[name]["share"][0, 1], values["share"], rtol=1e-4)


@pytest.mark.slow
def test_a_transformer_is_measured_at_its_class_token():
    problem = resized(fashion_pair(2, 4, 6), 8)
    # Made-up weights: the program that draws initial ones takes longest to compile.
    network = nnx.eval_shape(lambda: TRANSFORMER.build(problem, nnx.Rngs(0)))
    parameters = nnx.state(network, nnx.Param)
    draw = np.random.default_rng(0)
    nnx.update(
        network, jax.tree.map(lambda x: 0.1 * draw.standard_normal(x.shape, np.float32), parameters)
    )
    output, activations = jax.jit(TRANSFORMER.tap(network))(nnx.state(network), problem.inputs)
    assert {a.shape for a in activations.values()} == {(6, 32)}
    assert len(activations) > 1
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
