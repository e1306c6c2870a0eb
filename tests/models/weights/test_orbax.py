"""The user's own orbax checkpoints: every layout that flax users write, and strict about names."""

import flax.linen as nn
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from jaxalign.models.weights import is_orbax, restore


def network(seed, width=3):
    rngs = nnx.Rngs(seed)
    layers = [nnx.Linear(4, width, rngs=rngs), nnx.BatchNorm(width, rngs=rngs)]
    return nnx.Sequential(*layers, nnx.Dropout(0.5, rngs=rngs))


def variables(seed, width=3):
    zeros = np.zeros((width,), np.float32)
    kernel = np.random.default_rng(seed).standard_normal((4, width)).astype(np.float32)
    parameters = {"Dense_0": {"kernel": kernel, "bias": zeros}}
    return {"params": parameters, "batch_stats": {"BatchNorm_0": {"mean": zeros + seed}}}


def save(path, tree):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
    return path


def save_steps(path, tree):
    """As a manager does; an older step is of another seed."""
    with ocp.CheckpointManager(path) as manager:
        manager.save(9, args=ocp.args.StandardSave(variables(7)))
        manager.save(10, args=ocp.args.StandardSave(tree))
    return path


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(
    "form",
    [
        lambda state: state,
        nnx.to_pure_dict,
        lambda state: {"model": nnx.to_pure_dict(state), "step": 3},
    ],
)
def test_nnx_states(form, tmp_path):
    trained = nnx.state(network(0))
    folder = save(tmp_path / "checkpoint", form(nnx.filter_state(trained, nnx.Not(nnx.RngState))))
    assert is_orbax(folder)
    state = nnx.state(network(1))
    found = restore(folder, state)
    keys, own = nnx.split_state(found, nnx.RngState, ...)
    assert_same(own, nnx.filter_state(trained, nnx.Not(nnx.RngState)))
    # Random keys are not weights.
    count = nnx.filter_state(state, nnx.RngState)
    assert jax.tree.structure(keys) == jax.tree.structure(count)
    nnx.update(network(2), found)


@pytest.mark.parametrize(
    ("write", "form"),
    [
        (save, lambda tree: tree),
        (save, lambda tree: {**tree, "step": 3, "opt_state": {"mu": tree["params"]}}),
        (save, lambda tree: {"state": tree}),
        (save_steps, lambda tree: tree),
    ],
)
def test_linen_variables(write, form, tmp_path):
    trained = variables(0)
    folder = write(tmp_path / "checkpoint", form(trained))
    assert is_orbax(folder)
    assert_same(restore(str(folder), variables(1)), trained)


def test_dtypes_are_the_models(tmp_path):
    folder = save(tmp_path / "checkpoint", {"params": {"w": np.float32([1.5, 2.5])}})
    found = restore(folder, {"params": {"w": np.zeros(2, np.float16)}})
    assert found["params"]["w"].dtype == np.float16
    with pytest.raises(ValueError, match=r"1 of another dtype: params\.w float32 instead of int32"):
        restore(folder, {"params": {"w": np.zeros(2, np.int32)}})


def test_what_does_not_fit_is_named(tmp_path):
    tree = variables(0, width=2)
    tree["params"]["Dense_1"] = {"kernel": np.zeros((2, 2))}
    del tree["batch_stats"]
    folder = save(tmp_path / "checkpoint", tree)
    with pytest.raises(ValueError, match="does not fit the model, which needs 3 arrays") as caught:
        restore(folder, variables(1))
    assert str(caught.value).splitlines()[1:-1] == [
        "  1 missing: batch_stats.BatchNorm_0.mean (3,)",
        "  1 unused: params.Dense_1.kernel (2, 2)",
        "  2 of another shape: params.Dense_0.bias (2,) instead of (3,); "
        "params.Dense_0.kernel (4, 2) instead of (4, 3)",
    ]
    several = save(tmp_path / "several", {"ema": variables(0), "model": variables(1)})
    with pytest.raises(ValueError, match="one model, found ema, model"):
        restore(several, variables(1))


def test_what_is_no_checkpoint(tmp_path):
    assert not is_orbax(tmp_path)
    with pytest.raises(FileNotFoundError, match="must be a checkpoint of orbax"):
        restore(tmp_path, variables(0))
    with pytest.raises(TypeError, match=r"found a Linear; pass nnx\.state\(model\)"):
        restore(tmp_path, nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    (tmp_path / "_METADATA").write_text("{}")
    with pytest.raises(ValueError, match="cannot be read"):
        restore(tmp_path, variables(0))


def test_variables_that_flax_makes(tmp_path):
    module = nn.Dense(3)
    trained = module.init(jax.random.key(0), np.zeros((1, 4), np.float32))
    folder = save(tmp_path / "checkpoint", trained)
    other = module.init(jax.random.key(1), np.zeros((1, 4), np.float32))
    assert_same(restore(folder, other), trained)
