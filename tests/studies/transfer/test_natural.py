import numpy as np
import pytest

from jaxalign.data import Dataset
from jaxalign.data._dataset import Split
from jaxalign.studies.transfer import natural
from jaxalign.studies.transfer.natural import PAIRS, natural_problem

ANIMALS = {"bird", "cat", "deer", "dog", "frog", "horse"}


@pytest.fixture
def two_classes(monkeypatch, rng):
    """In the place of CIFAR-10: images that are as bright as their number."""

    def images(n):
        pixels = np.broadcast_to((np.arange(n) / n)[:, None, None, None], (n, 32, 32, 3))
        return Dataset(pixels.astype(np.float32), np.arange(n) % 2, ("no", "yes"), "made up")

    monkeypatch.setattr(natural, "path_of", lambda source: "folder")
    monkeypatch.setattr(natural, "cifar10", lambda path, classes: Split(images(80), images(20)))
    natural._images.cache_clear()
    yield
    natural._images.cache_clear()


@pytest.mark.parametrize("source", [pair.name for pair in PAIRS])
def test_targets_share_no_class_with_their_source_and_similar_ones_none_with_each_other(source):
    problem = natural_problem(source)
    classes = {dial: [] for dial in (0, 1)}
    for target in problem.targets:
        pair = target.name.split(" or ")
        assert not set(pair) & set(source.split(" or "))
        assert (len(set(pair) & ANIMALS) == 1) == (target.dial == 0)
        classes[target.dial].append(pair)
    assert [len(classes[dial]) for dial in (0, 1)] == [3, 6]
    assert len({name for pair in classes[0] for name in pair}) == 6


def test_points_of_a_pair_are_balanced_and_drawn_with_the_seed(two_classes):
    task = natural_problem(PAIRS[0].name).targets[0]
    first, again, other = (task.training(30, seed) for seed in (1, 1, 2))
    assert first.inputs.shape == (30, 16 * 16 * 3)
    assert first.labels.sum() == 15
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)
    # Labels go with their images, each drawn once at most.
    numbers = np.round(first.inputs[:, 0] * 80).astype(int)
    np.testing.assert_array_equal(numbers % 2, first.labels)
    assert len(set(numbers)) == 30


def test_there_are_as_many_test_images_as_the_data_have(two_classes):
    task = natural_problem(PAIRS[0].name).targets[0]
    assert [len(task.test(n).labels) for n in (10, 1000)] == [10, 20]
    assert task.test(10).labels.sum() == 5
