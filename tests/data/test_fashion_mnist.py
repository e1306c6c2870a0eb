import gzip
import importlib
import struct
from pathlib import Path

import numpy as np
import pytest

from jaxalign.data import fashion_mnist
from jaxalign.data._fashion_mnist import CLASSES

module = importlib.import_module("jaxalign.data._fashion_mnist")


def write_idx(path: Path, array: np.ndarray, pack=gzip.compress) -> None:
    path.write_bytes(
        pack(
            bytes([0, 0, 8, array.ndim])
            + struct.pack(f">{array.ndim}I", *array.shape)
            + array.tobytes()
        )
    )


@pytest.fixture
def folder(tmp_path, rng):
    for prefix, n in (("train", 40), ("t10k", 20)):
        write_idx(
            tmp_path / f"{prefix}-images-idx3-ubyte.gz",
            rng.integers(0, 256, (n, 28, 28), dtype=np.uint8),
        )
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", (np.arange(n) % 10).astype(np.uint8))
    return tmp_path


def test_the_embedded_subset_is_whole_and_balanced():
    split = fashion_mnist()
    for part, count in ((split.train, 500), (split.test, 100)):
        assert part.inputs.shape == (10 * count, 28, 28)
        assert part.inputs.dtype == np.float32
        assert (part.inputs.min(), part.inputs.max()) == (-1, 1)
        assert (np.bincount(part.labels) == count).all()
        assert part.class_names == CLASSES
    assert split.train.sha256() != split.test.sha256()


def test_a_pair_is_the_demo_s_thousand_points():
    split = fashion_mnist(classes=(4, 2))
    assert len(split.train) == 1000
    assert split.train.class_names == ("Coat", "Pullover")
    whole = fashion_mnist().train
    np.testing.assert_array_equal(
        split.train.inputs[split.train.labels == 0], whole.inputs[whole.labels == 4]
    )
    np.testing.assert_array_equal(
        split.train.inputs[split.train.labels == 1], whole.inputs[whole.labels == 2]
    )


def test_the_licence_comes_along():
    text = module.EMBEDDED.with_suffix(".LICENSE").read_text(encoding="utf-8")
    assert "Zalando" in text
    assert "Permission is hereby granted" in text


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    raw = bytearray(module.EMBEDDED.read_bytes())
    raw[len(raw) // 2] ^= 1
    changed = tmp_path / "fashion_mnist.npz"
    changed.write_bytes(raw)
    monkeypatch.setattr(module, "EMBEDDED", changed)
    with pytest.raises(ValueError, match="has changed: sha256"):
        fashion_mnist()


def test_reads_a_folder_of_idx_files_gzipped_or_not(folder):
    packed = fashion_mnist(folder)
    assert (len(packed.train), len(packed.test)) == (40, 20)
    for file in list(folder.iterdir()):
        (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert fashion_mnist(folder).train.sha256() == packed.train.sha256()


def test_a_missing_file_is_named_with_all_there_should_be(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no labels to test on; it must hold train-images-idx3-ubyte"
    ):
        fashion_mnist(folder)


def test_foreign_contents_are_refused(folder, rng):
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.full(40, 11, np.uint8))
    with pytest.raises(
        ValueError,
        match=r"must be numbers 0...9, found 11",
    ):
        fashion_mnist(folder)
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.zeros(39, np.uint8))
    with pytest.raises(ValueError, match=r"40 numbers, one an image, found shape \(39,\)"):
        fashion_mnist(folder)
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.zeros(40, np.uint8))
    write_idx(
        folder / "train-images-idx3-ubyte.gz", rng.integers(0, 256, (40, 32, 32), dtype=np.uint8)
    )
    with pytest.raises(ValueError, match=r"must have shape \(n, 28, 28\), found \(40, 32, 32\)"):
        fashion_mnist(folder)


@pytest.mark.parametrize("classes", [(), (3,), (3, 3), (3, 10), (-1, 2)])
def test_classes_must_be_two_or_more_different_ones(classes):
    with pytest.raises(ValueError, match=r"two or more different numbers among 0\.\.\.9"):
        fashion_mnist(classes=classes)
