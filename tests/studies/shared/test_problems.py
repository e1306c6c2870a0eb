import sys

import jax
import numpy as np
import pytest
from flax import nnx
from scipy.io import savemat

from jaxalign.studies.framework.catalogue import study
from jaxalign.studies.shared.networks import ARCHITECTURES, TRANSFORMER
from jaxalign.studies.shared.outside import FOLDER
from jaxalign.studies.shared.problems import (
    DIABETES,
    DIGITS,
    FASHION,
    PROBLEMS,
    at_hand,
    breast_cancer,
    diabetes,
    digits_parity,
    fashion_pair,
    parted,
    parts_named,
    resized,
    squared_error,
    usps_parity,
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


@pytest.mark.parametrize("name", [FASHION, DIGITS, DIABETES])
def test_a_tenth_is_held_out_of_a_problem_of_too_few_rows(name):
    pytest.importorskip("sklearn")
    trained_on, held_out = parts_named(name, 10**6, 8)
    total = len(trained_on.labels) + len(held_out.labels)
    assert 0.09 * total < len(held_out.labels) < 0.12 * total


def test_the_best_constant_answer_is_that_of_the_mean():
    pytest.importorskip("sklearn")
    assert fashion_pair(2, 4, 40).constant_loss == pytest.approx(np.log(2))
    problem = diabetes()
    losses = [
        float(squared_error(np.full_like(problem.labels, constant), problem.labels)[0])
        for constant in (-0.1, problem.labels.mean(), 0.1)
    ]
    assert problem.constant_loss == pytest.approx(min(losses), rel=1e-5)
    uneven = fashion_pair(2, 4, 40).take(np.arange(30))
    share = uneven.labels.mean()
    at_mean = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert uneven.constant_loss == pytest.approx(at_mean)


def test_ct_slices_come_from_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert at_hand(PROBLEMS) == [FASHION, DIGITS, DIABETES]
    with pytest.raises(ValueError, match="CT slices is not in"):
        parts_named("CT slices", 3, 8)
    lines = [f"0,{i % 2}.5,-0.25,{10 + i}.5" for i in range(6)]
    text = "\n".join(["patientId,value0,value1,reference", *lines])
    (tmp_path / "ct_slices_681.csv").write_text(text)
    assert at_hand(PROBLEMS)[-1] == "CT slices"
    known, held_out = parts_named("CT slices", 3, 8)
    assert known.inputs.shape == held_out.inputs.shape == (3, 2)
    both = np.concatenate([known.labels, held_out.labels])
    assert np.diff(np.sort(both[:, 0])).std() < 1e-6


def test_usps_digits_have_pixels_around_0_and_their_parity(tmp_path):
    content = np.zeros((4, 257), np.uint8)
    content[:, 0] = 0, 255, 51, 204
    # The file counts digits from 1.
    content[:, -1] = 1, 2, 9, 10
    savemat(tmp_path / "usps_all.mat", {"usps_all": content})
    problem = usps_parity(tmp_path / "usps_all.mat")
    assert problem.inputs.shape == (4, 16, 16, 1)
    np.testing.assert_allclose(problem.inputs[:, 0, 0, 0], [-1, 1, -0.6, 0.6], atol=1e-6)
    assert (problem.inputs.reshape(4, -1)[:, 1:] == -1).all()
    assert problem.labels.tolist() == [0, 1, 0, 1]


def test_features_of_tumours_are_standardized():
    pytest.importorskip("sklearn")
    problem = breast_cancer()
    assert problem.inputs.shape == (569, 30)
    np.testing.assert_allclose(problem.inputs.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(problem.inputs.std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["emergence", "layers"])
def test_images_of_every_size_of_a_study_can_be_cut_into_the_transformers_patches(name):
    for config in study(name).sizes.values():
        problem = resized(fashion_pair(2, 4, 4), config.side)
        network = nnx.eval_shape(lambda problem=problem: TRANSFORMER.build(problem, nnx.Rngs(0)))
        assert network.image == config.side
