import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.data import cifar10

COUNT = 12
NAMES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """Files of a dozen images in place of ten thousand."""
    monkeypatch.setattr(sys.modules["jaxalign.data._cifar10"], "IMAGES", COUNT)


def written(folder, seed=0):
    """(images, labels) of the six files, after writing them plane by plane as the format has it."""
    rng, held = np.random.default_rng(seed), []
    for name in NAMES:
        images = rng.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
        labels = rng.permutation(np.arange(COUNT) % 10).astype(np.uint8)
        records = (
            bytes([y]) + b"".join(x[..., c].tobytes() for c in range(3))
            for x, y in zip(images, labels, strict=True)
        )
        (folder / name).write_bytes(b"".join(records))
        held.append((images, labels))
    return held


@given(
    seed=st.integers(0, 99),
    classes=st.none() | st.lists(st.integers(0, 9), min_size=2, max_size=10, unique=True),
)
@settings(max_examples=15)
def test_reads_what_was_written(tmp_path_factory, seed, classes):
    folder = tmp_path_factory.mktemp("cifar")
    held = written(folder, seed)
    split = cifar10(folder, classes)
    wanted = list(range(10)) if classes is None else classes
    for part, files in ((split.train, held[:5]), (split.test, held[5:])):
        images, labels = (np.concatenate(x) for x in zip(*files, strict=True))
        kept = np.isin(labels, wanted)
        np.testing.assert_array_equal(np.round((part.inputs / 2 + 0.5) * 255), images[kept])
        np.testing.assert_array_equal(np.asarray(wanted)[part.labels], labels[kept])
        assert np.abs(part.inputs).max() <= 1


def test_the_folder_above_will_do(tmp_path):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    written(tmp_path / "cifar-10-batches-bin")
    split = cifar10(tmp_path, classes=(0, 1))
    assert split.train.class_names == ("airplane", "automobile")
    assert split.train.inputs.shape[1:] == (32, 32, 3)


@pytest.mark.parametrize("left", [0, 1, 3072, 3073, 3073 * (COUNT - 1), 3073 * COUNT - 1])
@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
def test_truncated_files_are_noticed(tmp_path, left, name):
    written(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:left])
    with pytest.raises(
        ValueError,
        match=f"{name} must hold 12 images of 3073 bytes, 36,876 bytes in all, found {left:,}",
    ):
        cifar10(tmp_path)


def test_foreign_labels_are_noticed(tmp_path):
    written(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" * 3073 * COUNT)
    with pytest.raises(ValueError, match=r"must hold labels 0\.\.\.9, found 10"):
        cifar10(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no data_batch_1.bin; unpack cifar-10-binary.*data_batch_5.bin, test_batch.bin",
    ):
        cifar10(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02}.")
    with pytest.raises(FileNotFoundError, match="pickles of the Python version"):
        cifar10(tmp_path)


@pytest.mark.parametrize("classes", [(), (1,), (1, 1), (0, 10), (-1, 0)])
def test_classes_are_two_or_more_different_ones(tmp_path, classes):
    with pytest.raises(
        ValueError, match=r"classes must be two or more different numbers among 0\.\.\.9"
    ):
        cifar10(tmp_path, classes)
