import numpy as np
import pytest
from PIL import Image

from jaxalign.data import image_folder


@pytest.fixture
def folder(tmp_path, rng):
    """Two classes of two and three images, a hidden file, a text, a folder in a folder."""
    for name in ("dog/b.png", "dog/a.PNG", "cat/1/deep.png", "cat/x.bmp", "cat/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "dog/.hidden.png").write_bytes(b"")
    (tmp_path / "dog/notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_a_folder_has_a_class_a_subfolder(folder):
    images = image_folder(folder)
    assert images.class_names == ("cat", "dog")
    assert [str(path.relative_to(folder)) for path in images.paths] == [
        "cat/1/deep.png",
        "cat/x.bmp",
        "cat/y.png",
        "dog/a.PNG",
        "dog/b.png",
    ]
    assert (len(images), images.labels.tolist(), images.labels.dtype) == (
        5,
        [0, 0, 0, 1, 1],
        np.int32,
    )


def test_batches_are_read_when_they_are_asked_for(folder):
    images = image_folder(folder)
    images.paths[-1].write_bytes(b"damaged")
    batches = images.batches(2)
    for rows in ([0, 1], [2, 3]):
        found, labels = next(batches)
        np.testing.assert_array_equal(found, [images[row] for row in rows])
        np.testing.assert_array_equal(labels, images.labels[rows])
    with pytest.raises(ValueError, match=r"b\.png is not an image"):
        next(batches)
    with pytest.raises(ValueError, match="size must be at least 1, found 0"):
        next(images.batches(0))


def test_folders_that_hold_no_classes(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing is not a folder"):
        image_folder(folder / "missing")
    with pytest.raises(ValueError, match="at least two subfolders, one per class, found 1"):
        image_folder(folder / "cat")
    (folder / "bird").mkdir()
    with pytest.raises(ValueError, match=r"the class .*bird has no image"):
        image_folder(folder)


@pytest.mark.parametrize(
    "name",
    [
        "cat/.ipynb_checkpoints/y-checkpoint.png",
        ".ipynb_checkpoints/cat/y.png",
        "__MACOSX/cat/._y.png",
        "cat/__MACOSX/y.png",
        "cat/@eaDir/y.png/SYNOPHOTO_THUMB_M.jpg",
        "$RECYCLE.BIN/y.png",
        "lost+found/y.png",
        "cat/._y.png",
        "cat/Thumbs.db",
        "dog/desktop.ini",
        "dog/paper.pdf",
        "dog/features.h5",
        "readme.png",
    ],
)
def test_what_tools_leave_behind_is_no_image_and_no_class(folder, name):
    before = image_folder(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"left")
    after = image_folder(folder)
    assert (after.paths, after.class_names) == (before.paths, before.class_names)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("train", "val"),
        ("seg_train", "seg_test"),
        ("imagenet-train-2012", "imagenet_validation"),
        ("train2017", "val2017"),
        ("training_set", "test_set"),
    ],
)
def test_a_level_of_parts_is_not_taken_for_the_classes(tmp_path, train, test):
    for i, part in enumerate((train, test)):
        for j, name in enumerate(("ant", "bee")):
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("L", (2, 2), 10 * i + j).save(tmp_path / part / name / "a.png")
    with pytest.raises(ValueError, match="above the classes; pass part='train' or part='test'"):
        image_folder(tmp_path)
    for i, part in enumerate(("train", "test")):
        images = image_folder(tmp_path, part=part)
        assert images.class_names == ("ant", "bee")
        assert [images[row][0, 0, 0] for row in range(2)] == [10 * i, 10 * i + 1]
    with pytest.raises(ValueError, match="has no folders train and test"):
        image_folder(tmp_path / train, part="test")


@pytest.mark.parametrize("names", [("train", "bus"), ("test", "control"), ("val", "contest")])
def test_classes_may_be_called_as_parts_are(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name / "a.png")
    assert image_folder(tmp_path).class_names == tuple(sorted(names))


def test_parts_without_classes_are_neither(tmp_path):
    for name in ("test/1.png", "train/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (2, 2)).save(tmp_path / name)
    with pytest.raises(ValueError, match="train must hold at least two subfolders, one per class"):
        image_folder(tmp_path, part="train")
    # Where only the part to train on has classes, the other one is none.
    for name in ("train/a/1.png", "train/b/2.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name)
    (tmp_path / "train/2.png").unlink()
    assert image_folder(tmp_path, part="train").class_names == ("a", "b")
    with pytest.raises(ValueError, match="one folder to test on, found 0 among train"):
        image_folder(tmp_path, part="test")


def test_a_part_that_is_not_there_or_there_twice(tmp_path):
    for name in ("train/a", "train/b", "train_extra/a"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / name / "a.png")
    for part, count in (("train", 2), ("test", 0)):
        with pytest.raises(ValueError, match=f"one folder to {part} on, found {count} among"):
            image_folder(tmp_path, part=part)


def test_images_that_cannot_be_read_are_told_from_others(folder):
    images = image_folder(folder)
    images.paths[1].write_bytes(images.paths[1].read_bytes()[:40])
    assert [images.is_readable(row) for row in range(5)] == [True, False, True, True, True]
    small = image_folder(folder, max_bytes=59)
    assert not any(small.is_readable(row) for row in range(5))


def test_a_link_that_leads_nowhere_is_not_passed_over(folder):
    (folder / "cat" / "z.png").symlink_to(folder / "lost.png")
    images = image_folder(folder)
    assert [images.is_readable(row) for row in range(6)] == [True] * 3 + [False] + [True] * 2
    (folder / "bird").symlink_to(folder / "lost")
    with pytest.raises(ValueError, match=r"bird is a link to what is not there"):
        image_folder(folder)
