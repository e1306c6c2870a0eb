import numpy as np
import pytest

from jaxalign.benchmark import problem
from jaxalign.benchmark.problem import CONDITION, TARGETS, Shape, errors, exact, example


@pytest.mark.parametrize(("text", "shape"), [("30x7", Shape(30, 7)), ("4x30x7", Shape(30, 7, 4))])
def test_shapes_are_read_and_written(text, shape):
    assert Shape.parse(text) == shape
    assert str(shape) == text.replace("x", "×")
    assert shape.bytes == 4 * 30 * 7 * shape.count


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("30", "written as 1000x129"),
        ("0x3", "written as"),
        ("2x3x4x5", "written as"),
        ("-3x2", "written as"),
        ("7x30", "exchange"),
    ],
)
def test_bad_shapes_say_what_a_shape_is(text, told):
    with pytest.raises(ValueError, match=told):
        Shape.parse(text)


def test_the_example_has_the_condition_it_claims(monkeypatch):
    monkeypatch.setattr(problem, "_BLOCK", 7 * 40)  # several blocks of rows
    features, targets = example(Shape(200, 7))
    assert features.dtype == targets.dtype == np.float32
    assert targets.shape == (200, TARGETS)
    sigma = np.linalg.svd(features.astype(float), compute_uv=False)
    np.testing.assert_allclose(sigma, np.geomspace(1, 1 / CONDITION, 7), rtol=0.2)


def test_a_batch_holds_different_matrices():
    features, targets = example(Shape(20, 3, 2))
    assert features.shape == (2, 20, 3)
    assert targets.shape == (2, 20, TARGETS)
    assert not np.allclose(features[0], features[1])


def test_the_exact_answer_is_that_of_one_svd(reference, monkeypatch):
    features, targets = example(Shape(200, 7))
    monkeypatch.setattr(problem, "_BLOCK", 7 * 40)
    sigma, energy = exact(features, targets)
    u, expected, _ = np.linalg.svd(features.astype(float), full_matrices=False)
    np.testing.assert_allclose(sigma, expected, rtol=1e-9)
    np.testing.assert_allclose(energy, (u.T @ targets.astype(float)) ** 2, atol=1e-8)


def test_errors_are_zero_for_the_answer_itself_and_count_what_is_wrong():
    features, targets = example(Shape(50, 4, 3))
    sigma, energy = exact(features, targets)
    same = errors((sigma, energy), (sigma, energy), targets)
    assert (same.sigma_min, same.curve, same.area) == (0, 0, 0)
    worse = sigma.copy()
    worse[1, -1] *= 1.25  # in one of the batch
    assert errors((worse, energy), (sigma, energy), targets).sigma_min == pytest.approx(0.25)
    wrong = energy.copy()
    wrong[2, 0, 0] += 0.5 * (targets[2, :, 0] ** 2).sum()
    assert errors((sigma, wrong), (sigma, energy), targets).curve == pytest.approx(0.5, rel=1e-5)


def test_an_answer_of_fewer_values_has_no_smallest_one():
    features, targets = example(Shape(50, 4))
    sigma, energy = exact(features, targets)
    found = errors((sigma[:2], energy[:2]), (sigma, energy), targets)
    assert found.sigma_min is None
    assert found.curve > 0
