"""Published architectures match torch's layer for layer, on random weights."""

import importlib.util
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import VGG, SqueezeNet, efficientnet_lite, resnet18, resnet50
from jaxalign.models.vgg import VGG16

TORCH_NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


@pytest.fixture(scope="module")
def torch_reference():
    file = Path(__file__).with_name("torch_reference.py")
    spec = importlib.util.spec_from_file_location("torch_reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_weights(build, tensors):
    """The state of a model with the weights of a torch state dict, of which every one must have been used."""
    model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    left = {name: np.asarray(t) for name, t in tensors.items() if not name.endswith("num_batches_tracked")}

    def value(path, variable):
        if isinstance(variable, nnx.RngState):
            return variable.replace(jax.random.key(0) if isinstance(variable, nnx.RngKey) else jnp.uint32(0))
        *owner, leaf = map(str, path)
        array = left.pop(".".join((*owner, TORCH_NAMES.get(leaf, leaf))))
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        assert array.shape == variable.get_value().shape
        return variable.replace(jnp.asarray(array))

    state = nnx.map_state(value, nnx.state(model))
    assert not left
    model.eval()
    return model, state


CASES = {
    "resnet18": (resnet18, 64),
    "resnet50": (resnet50, 64),
    "vgg16": (partial(VGG, VGG16, 10, hidden=64), 64),
    "vgg16_bn": (partial(VGG, VGG16, 10, batch_norm=True, hidden=64), 32),
    "squeezenet1_1": (SqueezeNet, 47),
    "efficientnet_lite0": (partial(efficientnet_lite, 0), 45),
}


@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_that_of_torch(torch_reference, rng, name):
    build, pixels = CASES[name]
    images = rng.standard_normal((2, pixels, pixels, 3)).astype(np.float32)
    reference = torch_reference.random_model(name)
    expected, calls = torch_reference.outputs_of_layers(reference, images)
    model, state = with_weights(build, reference.state_dict())
    output, activations = jax.jit(ja.tap(model))(state, images)

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
    assert all(isinstance(reference.get_submodule(name), torch_reference.nn.Sequential) for name in containers)


def relative_error(ours, theirs):
    return np.linalg.norm(np.asarray(ours, float) - theirs) / np.linalg.norm(theirs)
