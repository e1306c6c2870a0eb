"""Published architectures match torch's layer for layer, on random weights."""

import importlib.util
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import VGG, SqueezeNet, efficientnet_lite, resnet18, resnet50
from jaxalign.models._vgg import VGG16

TORCH_NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


@pytest.fixture(scope="module")
def torch_reference():
    file = Path(__file__).with_name("torch_reference.py")
    spec = importlib.util.spec_from_file_location("torch_reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights_of(tensors):
    """(path, shape) → array of a torch state dict in flax's layout, and what was not asked for."""
    left = {
        name: np.asarray(t)
        for name, t in tensors.items()
        if not name.endswith("num_batches_tracked")
    }

    def array_of(path, shape):
        *owner, leaf = path
        array = left.pop(".".join((*owner, TORCH_NAMES.get(leaf, leaf))))
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T

    return array_of, left


CASES = {
    "resnet18": (resnet18, 33),
    "resnet50": (resnet50, 64),
    "vgg16": (partial(VGG, VGG16, 10, hidden=64), 64),
    "vgg16_bn": (partial(VGG, VGG16, 10, batch_norm=True, hidden=64), 32),
    "squeezenet1_1": (SqueezeNet, 47),
    "efficientnet_lite0": (partial(efficientnet_lite, 0), 45),
}


# The others take long to compile.
FAST = ("resnet18", "squeezenet1_1")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CASES],
)
def test_every_layer_is_that_of_torch(torch_reference, filled, rng, name):
    build, pixels = CASES[name]
    images = rng.standard_normal((2, pixels, pixels, 3)).astype(np.float32)
    reference = torch_reference.random_model(name)
    expected, calls = torch_reference.outputs_of_layers(reference, images)
    array_of, unused = weights_of(reference.state_dict())
    model = filled(build, array_of)
    assert not unused
    model.eval()
    output, activations = jax.jit(ja.tap(model))(nnx.state(model), images)

    assert relative_error(output, expected) < 1e-4
    compared = 0
    for name, activation in activations.items():
        layer, _, call = name.partition("#")
        if layer in calls:
            theirs = calls[layer][int(call or 1) - 1]
            assert relative_error(activation.reshape(theirs.shape), theirs) < 1e-4, name
            compared += 1
    # Containers apart, every call that torch made was found here.
    containers = {name for name in calls if name not in activations}
    assert compared == sum(len(made) for name, made in calls.items() if name not in containers)
    assert all(
        isinstance(reference.get_submodule(name), torch_reference.nn.Sequential)
        for name in containers
    )


def relative_error(ours, theirs):
    return np.linalg.norm(np.asarray(ours, float) - theirs) / np.linalg.norm(theirs)
