"""What is lowered of the rooms beside alignment and similarity: what a spectrum predicts, the
geometry of one representation, scores of transfer, and the tangent kernel.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp

import jaxalign as ja
from jaxalign import geometry, learning, tangent, transferability

OF_SPECTRUM = {
    "gcv": partial(learning.gcv, ridge=1.0),
    "learning_curve": lambda s: learning.learning_curve(s, [20.0, 300.0], ridge=1.0),
    "learning_curve, best": lambda s: learning.learning_curve(s, [20.0, 300.0], ridge="best"),
    "sample_complexity": partial(learning.sample_complexity, error=0.9),
    "log_me": transferability.log_me,
}

OF_FEATURES = {
    "rankme": geometry.rankme,
    "effective_rank": geometry.effective_rank,
    "participation_ratio": geometry.participation_ratio,
    "stable_rank": geometry.stable_rank,
    "alpha_req": partial(geometry.alpha_req, ranks=(2, 20)),
    "two_nn": geometry.two_nn,
}

OF_CLASSES = {
    "lidar": partial(geometry.lidar, classes=(False, True)),
    "neural_collapse": partial(geometry.neural_collapse, classes=(False, True)),
    "h_score": partial(transferability.h_score, classes=(False, True)),
    "h_score, shrunk": partial(transferability.h_score, shrinkage=True, classes=(False, True)),
    "leep": lambda x, y: transferability.leep(jax.nn.softmax(x), y, classes=(False, True)),
}


def of_spectrum(measure: Callable, features, targets):
    return measure(ja.spectrum(features, targets))


def of_classes(measure: Callable, features, targets):
    return measure(features, targets[:, 0] > 0)


def with_gradient(measure: Callable, features, targets):
    def total(features):
        return sum(jnp.sum(x) for x in jax.tree.leaves(measure(features, targets)))

    return jax.value_and_grad(total)(features)


def network(weights, inputs):
    return jnp.tanh(inputs) @ weights


def tangents(weights, inputs, targets):
    settings = {"key": jax.random.key(0), "directions": 4, "probes": 2}
    return (
        tangent.tangent_spectrum(network, weights, inputs, targets, order=4),
        tangent.tangent_norm(network, weights, inputs, **settings),
        tangent.tangent_alignment(network, weights, inputs, targets, **settings),
    )


def room_operations() -> Iterator[tuple[str, Callable]]:
    """Functions of features and targets, by name."""
    for name, measure in OF_SPECTRUM.items():
        yield f"{name}, gradient", partial(with_gradient, partial(of_spectrum, measure))
    for name, measure in OF_FEATURES.items():
        yield name, lambda x, y, measure=measure: measure(x)
    for name, measure in OF_CLASSES.items():
        yield name, partial(of_classes, measure)
