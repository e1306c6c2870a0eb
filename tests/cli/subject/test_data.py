import numpy as np
import pytest
from PIL import Image

from jaxalign.cli.subject.data import load_examples
from jaxalign.cli.subject.examples import Batches
from jaxalign.cli.subject.options import DataOptions
from jaxalign.cli.subject.sources import has_test_part


@pytest.fixture
def table(tmp_path):
    """``table(labels)``: options of an .npz whose inputs are the numbers of its rows."""

    def save(labels, **options):
        file = tmp_path / "table.npz"
        np.savez(file, x=np.arange(len(labels), dtype=np.float32)[:, None], y=np.array(labels))
        return DataOptions(data=str(file), **options)

    return save


def test_chosen_classes_are_those_named_in_their_order(table):
    options = table(["ash", "beech", "cedar"] * 4, classes=("cedar", "ash"))
    examples = load_examples(options)
    assert examples.class_names == ("cedar", "ash")
    assert examples.rows(0, 4)[:, 0].tolist() == [0, 2, 3, 5]
    assert examples.labels[:4].tolist() == [1, 0, 1, 0]
    assert examples.targets[:2].tolist() == [[1], [-1]]
    assert examples.task == "2 classes"


def test_all_is_every_class(table):
    assert load_examples(table([3, 1, 2] * 4, classes=("all",))).class_names == ("1", "2", "3")


def test_fewer_rows_keep_the_classes_balanced(table):
    examples = load_examples(table([0] * 8 + [1] * 4, num_samples=6))
    assert np.bincount(examples.labels).tolist() == [3, 3]
    assert examples.first(2).labels.tolist() == [0, 1]


def test_numbers_are_regressed_on_and_have_no_classes(table):
    numbers = np.linspace(0, 1, 9)
    examples = load_examples(table(numbers, num_samples=4))
    assert examples.class_names == ()
    assert examples.task == "1 target to regress on"
    np.testing.assert_allclose(examples.targets[:, 0], numbers[:4], rtol=1e-6)
    with pytest.raises(ValueError, match="--classes chooses among classes"):
        load_examples(table(numbers, classes=("0", "1")))


def test_the_share_of_the_mean(table):
    assert load_examples(table([0, 1] * 5)).share_of_mean == 0
    assert load_examples(table(list(range(10)) * 2)).share_of_mean == pytest.approx(0.64)


def test_images_of_a_folder_have_the_classes_of_its_subfolders(tmp_path):
    for i, name in enumerate(["dog", "cat", "dog", "emu"]):
        (tmp_path / name).mkdir(exist_ok=True)
        pixels = np.full((4, 5, 3), i, np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    options = DataOptions(data=str(tmp_path), classes=("dog", "cat"))
    examples = load_examples(options)
    assert examples.class_names == ("dog", "cat")
    assert sorted(image[0, 0, 0] for image in examples.rows(0, 3)) == [0, 1, 2]
    batches = Batches(examples, np.stack, 2)
    assert [x.shape for x, _ in batches] == [(2, 4, 5, 3), (1, 4, 5, 3)]


def test_only_fashion_mnist_and_idx_files_have_a_part_to_test_on(table, tmp_path):
    assert has_test_part(DataOptions())
    assert not has_test_part(table([0, 1]))
    (tmp_path / "t10k-images-idx3-ubyte").touch()
    assert has_test_part(DataOptions(data=str(tmp_path)))


def test_the_embedded_classes_have_names_and_two_parts():
    options = DataOptions(classes=("2", "4"))
    train = load_examples(options)
    test = load_examples(options, "test")
    assert train.class_names == test.class_names == ("Pullover", "Coat")
    assert (len(train), len(test)) == (1000, 200)
