import sys

import jax
import numpy as np
import pytest
from flax import nnx

from jaxalign.studies.shared.networks import ARCHITECTURES
from jaxalign.studies.shared.problems import (
    diabetes,
    digits_parity,
    fashion_pair,
    parted,
    squared_error,
)


@pytest.fixture(params=["fashion", "digits", "diabetes"])
def problem(request):
    if request.param == "fashion":
        return fashion_pair(2, 4, 40)
    pytest.importorskip("sklearn")
    return digits_parity(40) if request.param == "digits" else diabetes()


def test_inputs_labels_and_targets_belong_together(problem):
    n = len(problem.inputs)
    assert (problem.inputs.dtype, problem.targets.dtype, problem.targets.shape) == (
        np.float32,
        np.float32,
        (n, 1),
    )
    assert len(problem.labels) == n
    assert np.isfinite(problem.inputs).all()
    if problem.objective is squared_error:
        np.testing.assert_array_equal(problem.labels, problem.targets)
        np.testing.assert_allclose(
            [problem.targets.mean(), problem.targets.std()], [0, 1], atol=1e-6
        )
    else:
        np.testing.assert_array_equal(problem.targets[:, 0], 2 * problem.labels - 1)
        assert problem.inputs.shape[1:] in {(28, 28, 1), (8, 8, 1)}
        assert np.abs(problem.inputs).max() <= 1


def test_two_classes_of_fashion_mnist_are_balanced():
    problem = fashion_pair(2, 4, 40)
    assert problem.targets.sum() == 0
    assert problem.name == "Fashion-MNIST: Pullover against Coat"


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_every_architecture_answers_with_one_number_and_names_its_layers(architecture, problem):
    if architecture.images and problem.inputs.ndim != 4:
        pytest.skip("takes images")
    network = nnx.eval_shape(lambda: architecture.build(problem, nnx.Rngs(0)))
    output, activations = jax.eval_shape(
        architecture.tap(network), nnx.state(network), problem.inputs[:3]
    )
    assert output.shape == (3, 1)
    assert len(activations) > 1


def test_data_that_are_missing_come_with_what_installs_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install \"jaxalign\[studies\]\""):
        digits_parity(10)


def test_rows_held_out_are_not_trained_on(problem):
    trained_on, held_out = parted(problem, 24)
    assert len(trained_on.labels) == 24
    assert len(held_out.labels) == min(24, len(problem.labels) - 24)
    rows = [row.tobytes() for part in (trained_on, held_out) for row in part.inputs]
    assert len(set(rows)) == len(rows)
    if problem.objective is squared_error:
        # What is not trained on may not be known either.
        assert trained_on.targets.mean() == pytest.approx(0, abs=1e-6)
        assert trained_on.targets.std() == pytest.approx(1, abs=1e-6)
        np.testing.assert_array_equal(held_out.labels, held_out.targets)
    else:
        assert trained_on.labels.mean() == pytest.approx(0.5, abs=0.05)
        np.testing.assert_array_equal(held_out.targets[:, 0], 2 * held_out.labels - 1)
