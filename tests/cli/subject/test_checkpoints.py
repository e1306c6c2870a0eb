"""A model of one's own with the weights that orbax saved of it."""

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaxalign.cli.inspect.options import Inspect
from jaxalign.cli.subject.model import load_model

SOURCE = """
import flax.linen as nn, jax, numpy as np
from flax import nnx

def own(seed=0):
    return nnx.Linear(4, 3, rngs=nnx.Rngs(seed))

def linen(seed=0):
    module = nn.Dense(3)
    return module, module.init(jax.random.key(seed), np.ones((1, 4)))
"""


@pytest.mark.parametrize("name", ["own", "linen"])
def test_a_folder_that_orbax_wrote(name, tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(SOURCE)
    model = f"{source}:{name}"
    start = load_model(Inspect(model=model), (4,), 2).state
    trained = jax.tree.map(lambda x: x + 1, start)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "saved", trained)
    loaded = load_model(Inspect(model=model, checkpoint=tmp_path / "saved"), (4,), 2)
    jax.tree.map(np.testing.assert_array_equal, loaded.state, trained)
    assert loaded.weights == "of saved"
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(loaded(loaded.state, x), loaded(trained, x))
