import numpy as np
import pytest
from flax import nnx

from jaxalign.models import MLP
from jaxalign.studies.shared.seeds import states_of
from jaxalign.studies.transfer.scratch import accuracy_from_scratch


@pytest.mark.slow
def test_every_network_learns_its_own_points(rng):
    networks = [MLP(2, (16,), 1, bias=True, rngs=nnx.Rngs(seed)) for seed in range(2)]
    inputs = rng.uniform(-1, 1, (2, 60, 2)).astype(np.float32)
    labels = (inputs[..., 0] > 0).astype(np.int32)
    # The second network is taught the opposite.
    labels[1] = 1 - labels[1]
    test = rng.uniform(-1, 1, (500, 2)).astype(np.float32)
    accuracy = accuracy_from_scratch(
        nnx.graphdef(networks[0]),
        states_of(networks),
        inputs,
        labels,
        test,
        (test[:, 0] > 0).astype(np.int32),
        steps=400,
    )
    assert accuracy[0] > 0.9
    assert accuracy[1] < 0.1
