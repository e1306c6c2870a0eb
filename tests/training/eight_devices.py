"""Eight devices, four by two, started by test_sharding.py: models split over them, alone and
several, with monitors of both kinds, and a checkpoint that goes on on four.
"""

import tempfile

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign.models import MLP

RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((90, 6)).astype(np.float32)
LABELS = (INPUTS[:, 0] * INPUTS[:, 1] > 0).astype(np.int32)


def model_on(mesh, spec, seed=0):
    model = MLP(6, (16, 12), 1, bias=True, rngs=nnx.Rngs(seed))
    if mesh is not None:
        state = nnx.state(model)
        shardings = jax.tree.map(lambda x: NamedSharding(mesh, spec(x)), state)
        nnx.update(model, jax.device_put(state, shardings))
    return model


def by_tensor(x):
    return P(*(None,) * (x.ndim - 1), "model" if x.shape[-1] > 1 else None)


def by_both(x):
    return P("data", *by_tensor(x)[1:]) if x.shape[0] % 4 == 0 and x.ndim == 2 else by_tensor(x)


def monitors(model):
    layers = ja.tap(model, "hidden_*")
    area = {"area": ja.alignment_area}
    targets = ja.encode_targets(LABELS[:40])
    return {
        "deferred": ja.monitor(layers, INPUTS[:40], targets, measures=area, defer=True),
        "batch": ja.batch_monitor(
            layers,
            lambda y: ja.encode_targets(y, classes=(0, 1)),
            16,
            measures=area,
            method="quadrature",
            order=6,
        ),
    }


def fit(models, **settings):
    settings = {"steps": 12, "batch_size": 16, "chunk": 4} | settings
    return ja.fit(models, optax.adam(1e-2), INPUTS, LABELS, **settings)


def assert_close(found, expected):
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        x, y = np.asarray(x, float), np.asarray(y, float)
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(y).max(initial=1e-3))


def assert_split(state, models=1):
    """Each device holds the same number of bytes: its parts of the parameters, as much twice for
    the moments, and two counts.
    """
    held = np.zeros((2, 8), int)
    for i, tree in enumerate((state.model, state)):
        for array in jax.tree.leaves(tree):
            for shard in array.addressable_shards:
                held[i, shard.device.id] += shard.data.nbytes
    assert len({*held[0]}) == 1
    np.testing.assert_array_equal(held[1], 3 * held[0] + 8 * models)
    return held[0, 0] / sum(array.nbytes for array in jax.tree.leaves(state.model))


def one_model() -> None:
    settings = {"monitor": monitors(model_on(None, None))}
    expected = fit(model_on(None, None), **settings)
    for kind, spec, most in [
        (AxisType.Explicit, by_tensor, 0.53),
        (AxisType.Auto, by_both, 0.28),
    ]:
        mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind,) * 2)
        found = fit(model_on(mesh, spec), mesh=mesh, **settings)
        assert_close(found, expected)
        assert assert_split(found[0]) < most


def several_models() -> None:
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    seeds = range(4)
    deferred = monitors(model_on(None, None))["deferred"]
    settings = {"seed": seeds, "steps": 6, "monitor": deferred}
    expected = fit([model_on(None, None, seed) for seed in seeds], **settings)
    found = fit([model_on(mesh, by_tensor, seed) for seed in seeds], **settings)
    assert_close(found, expected)
    assert assert_split(found[0]) < 0.53 / 4


def onto_fewer_devices() -> None:
    """What eight devices saved, four read, each its own part."""
    eight = jax.make_mesh((4, 2), ("data", "model"))
    four = jax.make_mesh((2, 2), ("data", "model"), devices=jax.devices()[:4])
    kept = ja.Checkpoints(tempfile.mkdtemp())
    settings = {"checkpoints": kept}
    whole, _ = fit(model_on(None, None))
    fit(model_on(eight, by_both), steps=8, **settings)
    state, rows = fit(model_on(four, by_tensor), **settings)
    assert rows.step[0] == 8
    assert_close(state, whole)
    assert {s.device for x in jax.tree.leaves(state) for s in x.addressable_shards} == {
        *jax.devices()[:4]
    }


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)
    one_model()
    several_models()
    onto_fewer_devices()
