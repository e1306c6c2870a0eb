import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.data import box_task, hyperplane_task, peaks_distance, peaks_task
from jaxalign.data._synthetic import BOX_SIDE, VARIABLES

N = 20_000
TOLERANCE = 4.5 * (0.25 / N) ** 0.5  # of a share among N points, standard deviations
dials = st.floats(0, 1)
functions = st.permutations(VARIABLES).map(lambda order: order[:3])


def agreement(a, b) -> float:
    return np.mean(a.labels == b.labels)


@given(dials)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_half_of_the_square_is_of_each_class_at_any_dial(dial):
    for task in (hyperplane_task, box_task):
        assert task(N, dial, seed=1).labels.mean() == pytest.approx(0.5, abs=TOLERANCE)


@given(functions)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_half_of_the_points_are_of_each_class_for_any_peaks_function(roles):
    assert peaks_task(N, roles, seed=1).labels.mean() == pytest.approx(0.5, abs=TOLERANCE)


def test_the_dial_at_0_is_the_source_task():
    line, box = hyperplane_task(N, 0.0, seed=2), box_task(N, 0.0, seed=2)
    np.testing.assert_array_equal(line.labels, line.inputs[:, 0] > 0.5)
    np.testing.assert_array_equal(box.labels, (box.inputs < BOX_SIDE).all(axis=1))


@given(dials)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_turned_line_disagrees_with_its_source_on_two_triangles(dial):
    angle = dial * np.pi / 2
    area = np.tan(angle) / 4 if dial <= 0.5 else 0.5 - np.tan(np.pi / 2 - angle) / 4
    found = agreement(hyperplane_task(N, 0.0, seed=3), hyperplane_task(N, dial, seed=3))
    assert found == pytest.approx(1 - area, abs=TOLERANCE)


@given(dials)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_moved_box_agrees_with_its_source_on_twice_their_overlap(dial):
    overlap = (BOX_SIDE - dial * (BOX_SIDE - 0.5)) ** 2
    found = agreement(box_task(N, 0.0, seed=4), box_task(N, dial, seed=4))
    assert found == pytest.approx(2 * overlap, abs=TOLERANCE)


@given(dials)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_box_is_symmetric_in_x_and_y(dial):
    task = box_task(1000, dial, seed=5)
    low, high = dial * (BOX_SIDE - 0.5), dial * (BOX_SIDE - 0.5) + BOX_SIDE
    mirrored = task.inputs[:, ::-1]
    np.testing.assert_array_equal(task.labels, ((mirrored >= low) & (mirrored < high)).all(axis=1))


@pytest.mark.parametrize(
    ("other", "share"), [("ABC", 1), ("ABD", 3 / 4), ("DBE", 5 / 8), ("ADE", 1 / 2), ("DEF", 1 / 2)]
)
def test_peaks_functions_agree_as_often_as_counting_says(other, share):
    assert agreement(peaks_task(N, "ABC", seed=6), peaks_task(N, other, seed=6)) == pytest.approx(
        share, abs=TOLERANCE
    )


@given(functions)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_peaks_function_reads_its_three_variables_only(roles):
    task = peaks_task(1000, roles, seed=7)
    a, b, c = (task.inputs[:, VARIABLES.index(name)] for name in roles)
    expected = ((a > 0.5) & (b > 0.5)) | ((a <= 0.5) & (c > 0.5))
    np.testing.assert_array_equal(task.labels, expected)


@given(functions, functions)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_distance_is_0_to_itself_1_without_a_common_variable_and_symmetric(a, b):
    distance = peaks_distance(a, b)
    assert distance == peaks_distance(b, a)
    assert (distance == 0) == (a == b)
    assert (distance == 1) == (not set(a) & set(b))
    assert 0 <= distance <= 1


def test_exchanging_roles_is_a_distance_too():
    every = ["".join(roles) for roles in itertools.permutations(VARIABLES, 3)]
    assert len(every) == 120
    permuted = [peaks_distance("ABC", roles) for roles in every if set(roles) == set("ABC")]
    np.testing.assert_allclose(np.sort(permuted), [0, 1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2])


def test_points_depend_on_the_seed_alone():
    for task, one, other in (
        (hyperplane_task, 0.0, 0.7),
        (box_task, 0.0, 0.7),
        (peaks_task, "ABC", "DEF"),
    ):
        first, second = task(100, one, seed=8), task(100, other, seed=8)
        np.testing.assert_array_equal(first.inputs, second.inputs)
        assert task(100, one, seed=8).sha256() == first.sha256() != task(100, one, seed=9).sha256()
        assert first.inputs.dtype == np.float32
        assert first.labels.dtype == np.int32


@pytest.mark.parametrize("dial", [-0.1, 1.5, float("nan")])
@pytest.mark.parametrize("task", [hyperplane_task, box_task])
def test_a_dial_outside_its_scale_is_refused(task, dial):
    with pytest.raises(ValueError, match="dial must lie from 0"):
        task(10, dial, seed=0)


def test_no_points_are_refused():
    for call in (lambda: box_task(0, 0.0, seed=0), lambda: peaks_task(0, seed=0)):
        with pytest.raises(ValueError, match="n must be at least 1, found 0"):
            call()


@pytest.mark.parametrize("roles", ["AB", "ABCD", "AAB", "ABX", "abc", ""])
def test_roles_must_be_three_different_variables(roles):
    for call in (lambda: peaks_task(10, roles, seed=0), lambda: peaks_distance("ABC", roles)):
        with pytest.raises(ValueError, match="three different variables of ABCDEF"):
            call()
