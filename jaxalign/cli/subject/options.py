"""The options that say which model, and on which data. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxalign.cli.checks import require_at_least_one
from jaxalign.cli.choices import Activation, At, Scaling, Task, Unreadable
from jaxalign.cli.subject.tables import TableOptions

ModelArgument = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]


@dataclass(frozen=True, kw_only=True)
class DataOptions(TableOptions):
    """Which data."""

    data: str = "fashion-mnist"
    """fashion-mnist (the embedded images), a folder of IDX files, an .npz of x and y, a .csv, a
    folder with a subfolder of images for each class, perhaps in folders train and test, a .tar of
    NNN.jpg with NNN.cls, .txt or .json, or a data set that Hugging Face's datasets saved."""
    task: Task = "auto"
    """What labels are; by default text and few different integers are classes, other numbers are
    regressed on."""
    classes: tuple[str, ...] = ()
    """Two or more of the classes, in the order of the targets, or all. Of fashion-mnist, 0 T-shirt,
    1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7 Sneaker, 8 Bag, 9 Ankle boot, train
    takes 2 and 4 by default; otherwise all are taken."""
    num_samples: int | None = None
    """Take so many rows, classes balanced; by default all."""
    scaling: Scaling | None = None
    """Of images of bytes: to [-1, 1], which is the default, to [0, 1], or by ImageNet's means.
    Pretrained models bring their own."""
    size: int | None = None
    """Cut image files to their middle square and scale it to so many pixels."""
    unreadable: Unreadable = "refuse"
    """Skip image files that cannot be read; it is said how many."""
    max_bytes: int | None = None
    """Bytes that a file may unpack to; by default 2^31 of an array, 2^28 of an image."""

    def check_data(self) -> None:
        """Raise if an option cannot be what it is."""
        require_at_least_one(self, ["num_samples", "size", "max_bytes"])


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model, and which of its layers."""

    model: ModelArgument
    """mlp, cnn, resnet18, resnet34, resnet50, vgg11, vgg11_bn, vgg16, vgg16_bn, squeezenet1_1,
    efficientnet_lite0 to 4, vit_s_16, vit_b_16; pretrained: efficientnet-lite0 to 2, squeezenet1.1;
    or your own: path/to/module.py:factory, where factory() returns a flax.nnx.Module or, where
    nothing is trained, a pair (flax.linen.Module, variables), an equinox module, (equinox module,
    State) or a Keras model; or a folder of Hugging Face's, of a BERT, ViT or ResNet."""
    checkpoint: Path | None = None
    """Weights to read into the model: safetensors, whole or in shards, torch .pth, .npz; or a
    folder that orbax wrote of a flax.nnx or flax.linen model."""
    layers: tuple[str, ...] = ()
    """Glob patterns of the layers; by default the post-activations that the model names, else all.
    `jaxalign layers MODEL` lists them."""
    at: At = "output"
    """Take what layers return, or what they are given: the post-activation of the layer before."""
    width: int = 128
    """Units of each hidden layer of mlp."""
    depth: int = 3
    """Number of hidden layers of mlp."""
    activation: Activation = "relu"
    """Activation of the hidden layers of mlp."""
    outputs: int | None = None
    """Of a shipped architecture; by default one for each target, 1000 with a checkpoint."""
    seed: int = 0
    """Of the initial weights of a shipped architecture; in training also of the order of the
    rows."""

    def check_model(self) -> None:
        """Raise if an option cannot be what it is."""
        require_at_least_one(self, ["width", "depth", "outputs"])
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, found {self.seed}; change --seed")


@dataclass(frozen=True, kw_only=True)
class SubjectOptions(ModelOptions, DataOptions):
    """Which model, on which data."""

    def __post_init__(self) -> None:
        self.check_model()
        self.check_data()
