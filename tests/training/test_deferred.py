"""Deferred measurements of a chunk are solved in parts where all of them would not fit."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.training import _deferred
from jaxalign.training._deferred import scan_and_finish

# hidden_1 is 17 wide with the bias and hidden_2 13: what one step keeps, in float64.
MOMENTS = 8 * (19 * 19 + 15 * 15)


def batch_monitor(task):
    encode = partial(ja.encode_targets, classes=(0, 1))
    return ja.batch_monitor(ja.tap(task.model(), "hidden_*"), encode, num_samples=16, defer=True)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 0)], ids=["one", "several", "one order"])
@pytest.mark.parametrize("of_batch", [False, True], ids=["fixed", "batch"])
def test_parts_of_a_chunk_are_logged_as_the_whole(task, monkeypatch, seeds, of_batch):
    models = [task.model(seed) for seed in range(len(seeds))]
    monitor = batch_monitor(task) if of_batch else task.monitor(models[0], defer=True)
    settings = {"monitor": monitor, "every": 2, "chunk": 12, "seed": list(seeds)}
    given = models
    if len(models) == 1:
        given = models[0]
        settings["seed"] = seeds[0]
    _, whole = task.fit(given, **settings)
    monkeypatch.setattr(_deferred, "KEPT_BYTES", 3 * len(models) * MOMENTS)
    _, parts = task.fit(given, **settings)
    for one, other in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kept", "models", "together"),
    [(12, 1, 12), (11, 1, 6), (6, 2, 3), (0.5, 1, 1)],
    ids=str,
)
def test_no_more_is_kept_than_may_be(task, monkeypatch, kept, models, together):
    monitor = task.monitor(task.model(), measures={"area": ja.alignment_area}, defer=True)
    monkeypatch.setattr(_deferred, "KEPT_BYTES", int(kept * MOMENTS))

    def step(state, batch):
        return state, (batch.sum(), {"one": monitor.sample(state)})

    state, batches = nnx.state(task.model()), jnp.ones((12, 1))
    run = partial(scan_and_finish, step, {"one": monitor}, models=models)
    program = str(jax.make_jaxpr(run)(state, batches))
    kept_lengths = [n for n in range(1, 13) if f"u32[{n},19,19,2]" in program]
    assert max(kept_lengths) == together
    shapes = jax.eval_shape(run, state, batches)[1]
    assert shapes[0].shape == (12,)
    assert shapes[1]["one"]["hidden_2"]["area"].shape == (12,)
