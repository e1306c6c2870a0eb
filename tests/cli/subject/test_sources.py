"""Every kind of data takes the options that apply to it, and refuses the others by name."""

import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jaxalign.cli.inspect.options import Inspect, Layers
from jaxalign.cli.subject.data import load_examples
from jaxalign.cli.subject.model import load_model
from jaxalign.cli.subject.options import DataOptions
from jaxalign.cli.subject.sources import has_test_part
from jaxalign.cli.subject.subject import load_subject

CHANGED = {
    "label": "y",
    "inputs": "x",
    "header": "yes",
    "ignore": ("b",),
    "missing": "drop",
    "categories": "one-hot",
    "decimal": ".",
    "encoding": "latin-1",
    "size": 4,
    "unreadable": "skip",
    "max_bytes": 2**20,
    "scaling": "unit",
}
TABLE = {"label", "header", "ignore", "missing", "categories", "decimal", "encoding"}
TAKEN = {
    "table.CSV": TABLE,
    "table.Tsv": TABLE,
    "arrays.NPZ": {"label", "inputs", "max_bytes", "scaling"},
    "idx": {"max_bytes", "scaling"},
    "images": {"size", "unreadable", "max_bytes", "scaling"},
    "images.TAR": {"label", "size", "unreadable", "max_bytes", "scaling"},
    "parts": {"size", "unreadable", "max_bytes", "scaling"},
    "fashion-mnist": {"scaling"},
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A data set of every kind: four rows of two classes."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "table.CSV").write_text("a,b,y\n1,2,0\n2,3,1\n5,1,0\n4,4,1\n")
    (folder / "table.Tsv").write_text("a\tb\ty\n1\t2\t0\n2\t3\t1\n5\t1\t0\n4\t4\t1\n")
    pixels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    with open(folder / "arrays.NPZ", "wb") as file:
        np.savez(file, x=pixels, y=[0, 1, 0, 1], x_test=pixels + 100, y_test=[1, 0, 1, 0])
    (folder / "idx").mkdir()
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", pixels), ("labels-idx1", np.uint8([0, 1, 0, 1]))):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / "idx" / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    for i, root in enumerate(("images", "parts/train", "parts/val")):
        for j in range(4):
            file = folder / root / "ab"[j % 2] / f"{j}.PNG"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), 10 * i + j).save(file)
    with tarfile.open(folder / "images.TAR", "w") as archive:
        for j in range(4):
            archive.add(folder / f"images/{'ab'[j % 2]}/{j}.PNG", f"{j}.png")
            (folder / "label").write_text(str(j % 2))
            archive.add(folder / "label", f"{j}.cls")
    return folder


def options(sources, name, **changed):
    data = name if name == "fashion-mnist" else str(sources / name)
    return DataOptions(data=data, **changed)


@pytest.mark.parametrize("option", CHANGED)
@pytest.mark.parametrize("name", TAKEN)
def test_an_option_applies_or_is_refused(sources, name, option):
    value = CHANGED[option]
    if (name, option) == ("images.TAR", "label"):
        value = "cls"
    chosen = options(sources, name, **{option: value})
    if option in TAKEN[name]:
        assert len(load_examples(chosen)) >= 4
        return
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')} would change nothing of"):
        load_examples(chosen)


@pytest.mark.parametrize("name", TAKEN)
def test_a_part_is_read_or_refused(sources, name):
    chosen = options(sources, name)
    if name in ("idx", "parts", "fashion-mnist"):
        assert has_test_part(chosen)
        assert load_examples(chosen, "test").source != load_examples(chosen).source
        return
    assert not has_test_part(chosen)
    with pytest.raises(ValueError, match="has no part to test on; leave out --part, or name the"):
        load_examples(chosen, "test")


def test_parts_are_no_classes(sources):
    for i, part in enumerate(("train", "test"), start=1):
        examples = load_examples(options(sources, "parts"), part)
        assert examples.class_names == ("a", "b")
        assert [image[0, 0, 0] for image in examples.rows(0, 2)] == [10 * i, 10 * i + 2]


def test_arrays_of_an_npz_can_be_named(sources):
    examples = load_examples(options(sources, "arrays.NPZ", inputs="x_test", label="y_test"))
    assert examples.rows(0, 1)[0, 0, 0] == 100
    assert examples.labels.tolist() == [1, 0, 1, 0]


def test_images_that_cannot_be_read_are_skipped_and_counted(sources, tmp_path):
    for j in range(6):
        file = tmp_path / "few" / "ab"[j % 2] / f"{j}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), j).save(file)
    chosen = DataOptions(data=str(tmp_path / "few"))
    (tmp_path / "few" / "a" / "2.png").write_bytes(b"cut")
    with pytest.raises(
        ValueError, match=r"2\.png is not an image .*repair it, or pass --unreadable skip"
    ):
        load_examples(chosen).rows(0, 6)
    skipping = replace(chosen, unreadable="skip")
    examples = load_examples(skipping)
    assert sorted(image[0, 0, 0] for image in examples.rows(0, 5)) == [0, 1, 3, 4, 5]
    assert examples.source == "few without 1 of 6 images that cannot be read"
    for j in (0, 4):
        (tmp_path / "few" / "a" / f"{j}.png").write_bytes(b"cut")
    with pytest.raises(ValueError, match="no image of a in few can be read"):
        load_examples(skipping)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.array([[16_777_217, 0], [3, 4]]), "column 0 .* hold 16777217, which float32"),
        (np.array([[2**53 + 1, 0], [3, 4]]), f"hold {2**53 + 1}, which float32"),
        (np.array([[2**63 + 1, 0], [3, 4]], np.uint64), "which float32"),
        (1e8 + np.array([[0, 0.1], [1, 0.7]]), "subtract what the rows have in common"),
        (np.array([[0, 1e39], [1, 2]]), r"hold 1e\+39"),
        (np.array([[0, np.nan], [1, 2]]), "must be finite, found nan in row 0, column 1"),
    ],
)
def test_numbers_that_float32_does_not_hold_are_refused(tmp_path, inputs, message):
    np.savez(tmp_path / "some.npz", x=inputs, y=[0, 1])
    with pytest.raises(ValueError, match=message):
        load_examples(DataOptions(data=str(tmp_path / "some.npz")))


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[2**24, 2**40], [3, 4]]),
        np.array([[1e8, 0.1], [1e8, 0.7]]),
        np.array([[1000.5, 0.1], [1020.25, 0.7]]),
        np.array([[2**24 + 2.0, 1], [2**24 + 4.0, 2]]),
        np.array([[True, False], [False, False]]),
        np.array([[1e30, 1e-30], [-1e30, 0]], np.float32),
    ],
)
def test_numbers_that_float32_holds_pass(tmp_path, inputs):
    np.savez(tmp_path / "some.npz", x=inputs, y=[0, 1])
    examples = load_examples(DataOptions(data=str(tmp_path / "some.npz")))
    np.testing.assert_array_equal(examples.rows(0, 2), inputs)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_targets_whose_squares_float32_does_not_hold_name_the_factor(tmp_path, scale):
    np.savez(tmp_path / "some.npz", x=np.eye(3), y=np.array([0.5, 1.5, 4.0]) * scale)
    with pytest.raises(ValueError, match=f"divide them by {4 * scale:.0e}".replace("+", r"\+")):
        load_examples(DataOptions(data=str(tmp_path / "some.npz")))


def test_preparation_of_images_that_would_not_happen_is_refused(sources):
    subject = Inspect(model="mlp", data=str(sources / "table.CSV"))
    with pytest.raises(ValueError, match="--scaling would change nothing"):
        load_subject(replace(subject, scaling="unit"))
    np.savez(sources / "floats.npz", x=np.zeros((4, 4, 4)), y=[0, 1, 0, 1])
    floats = replace(subject, data=str(sources / "floats.npz"), scaling="signed")
    with pytest.raises(ValueError, match=r"--scaling is for images of bytes .*are float64"):
        load_subject(floats)
    for option in ({"scaling": "unit"}, {"size": 8}):
        pretrained = Inspect(model="squeezenet1.1", data=str(sources / "images"), **option)
        with pytest.raises(ValueError, match=r"squeezenet1\.1 prepares images itself"):
            load_subject(pretrained)


@pytest.mark.parametrize("option", [{"width": 9}, {"depth": 2}, {"activation": "tanh"}])
def test_options_of_mlp_are_refused_for_other_models(option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=f"--{name} would change nothing of cnn; leave out"):
        load_model(Inspect(model="cnn", **option), (28, 28), 2)


def test_outputs_are_those_of_shipped_architectures():
    for model in ("squeezenet1.1", "mine.py:Net"):
        with pytest.raises(ValueError, match="--outputs would change nothing of"):
            load_model(Inspect(model=model, outputs=3), (28, 28), 2)


def test_a_shape_stands_for_the_data():
    with pytest.raises(ValueError, match="--data, --label would not be read: --shape stands for"):
        Layers(model="mlp", shape=(4,), data="some.csv", label="y")
