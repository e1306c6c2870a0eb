"""The options that say which model, and on which data. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxalign.cli.checks import require_at_least_one
from jaxalign.cli.choices import Activation, At, Many, Scaling, Task, Unreadable
from jaxalign.cli.subject.tables import TableOptions

ModelArgument = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]


@dataclass(frozen=True, kw_only=True)
class _RowOptions:
    """Which data, and which rows of them."""

    # fashion-mnist (the embedded images), a folder of IDX files, an .npz of x and y, a .csv, a
    # folder with a subfolder of images for each class, perhaps in folders train and test, a .tar of
    # NNN.jpg with NNN.cls, .txt or .json, or a data set that Hugging Face's datasets saved.
    data: str = "fashion-mnist"
    # Whether labels are classes, or numbers to regress on. With auto, text and integers of few
    # different values are classes, and other numbers are regressed on.
    task: Task = "auto"
    # Two or more of the classes, in the order of the targets, or all. By default all; but of
    # fashion-mnist (0 T-shirt, 1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7
    # Sneaker, 8 Bag, 9 Ankle boot) `jaxalign train` takes 2 and 4.
    classes: Many[str] = ()
    # Take this many rows, with balanced classes; by default all.
    num_samples: int | None = None
    # How images of bytes are scaled: signed, to [-1, 1], which is the default; unit, to [0, 1];
    # imagenet, by the means and deviations of ImageNet's channels; or none. Pretrained models bring
    # their own.
    scaling: Scaling | None = None
    # Cut image files to their central square, and resize it to this many pixels on each side.
    size: int | None = None
    # What becomes of image files that cannot be read: refuse the data, or skip them and say how
    # many.
    unreadable: Unreadable = "refuse"
    # The most bytes that a file may unpack to; by default 2^31 of an array, 2^28 of an image.
    max_bytes: int | None = None

    def check_data(self) -> None:
        """Raise if an option cannot be what it is."""
        require_at_least_one(self, ["num_samples", "size", "max_bytes"])


@dataclass(frozen=True, kw_only=True)
class DataOptions(TableOptions, _RowOptions):
    """Which data, and how they are read. Help lists the options of the last class first."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model, and which of its layers."""

    # mlp, cnn, resnet18, resnet34, resnet50, vgg11, vgg11_bn, vgg16, vgg16_bn, squeezenet1_1,
    # efficientnet_lite0 to 4, vit_s_16, vit_b_16; pretrained: efficientnet-lite0 to 2,
    # squeezenet1.1; a folder that Hugging Face's save_pretrained wrote of a BERT, ViT or ResNet; or
    # your own: path/to/module.py:factory, where factory() returns a flax.nnx.Module, a
    # pair (flax.linen.Module, variables), an equinox module, a pair (equinox module, State), or a
    # Keras model.
    model: ModelArgument
    # Weights to read into the model: safetensors, whole or in shards, torch .pth, .npz; or a folder
    # that orbax wrote of a flax.nnx or flax.linen model.
    checkpoint: Path | None = None
    # Glob patterns of the layers; by default the post-activations that the model names, else all
    # layers. `jaxalign layers MODEL` lists them.
    layers: Many[str] = ()
    # What is taken of a layer: its output, or its input, which is the post-activation of the layer
    # before.
    at: At = "output"
    # Units of each hidden layer of mlp.
    width: int = 128
    # Number of hidden layers of mlp.
    depth: int = 3
    # Activation of the hidden layers of mlp.
    activation: Activation = "relu"
    # Number of outputs of a shipped architecture; by default one for each target, 1000 with a
    # checkpoint.
    outputs: int | None = None
    # Seed of the initial weights of a shipped architecture; in training also of the order of the
    # rows.
    seed: int = 0

    def check_model(self) -> None:
        """Raise if an option cannot be what it is."""
        require_at_least_one(self, ["width", "depth", "outputs"])
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, found {self.seed}; change --seed")


@dataclass(frozen=True, kw_only=True)
class SubjectOptions(DataOptions, ModelOptions):
    """Which model, on which data."""

    def __post_init__(self) -> None:
        self.check_model()
        self.check_data()
