"""Every operation on arrays, on meshes with explicit axes (those of ``jax.make_mesh``), with
automatic ones and without a mesh, gives the same.
"""

import re
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign._core.loops import looped

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from _lowering_cases import Case, array_cases, room_cases, similarity_cases

WIRE = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
EXPLICIT, AUTO = AxisType.Explicit, AxisType.Auto
SIMILARITIES = {case.name for case in similarity_cases()}
ROOMS = {case.name for case in room_cases()}
# The user's products close over the user's arrays; a scan's axis may not be split.
NOT_SPLIT = ("quadrature of products", "scan")


def mesh_of(kind: AxisType) -> jax.sharding.Mesh:
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=(kind, kind))


def split_shape(mesh, x, by_columns: bool) -> jax.ShapeDtypeStruct:
    """The shape with its rows split over the mesh, and its columns too, where both are even."""
    axes = ["data", *[None] * (x.ndim - 2), "model"][: x.ndim]
    if not by_columns:
        axes[1:] = []
    whole = [None if size % 2 else axis for size, axis in zip(x.shape, axes, strict=False)]
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, P(*whole)))


def is_fast(name: str) -> bool:
    if name in SIMILARITIES or name in ROOMS:
        return name in ("linear_cka of pair moments", "neural_collapse")
    if "triangular]" in name:
        return name.endswith("triangular]")  # not its transformations, nor its other shapes
    return all(method not in name for method in ("moments]", "refined]", "svd]", "split]"))


CASES = [
    pytest.param(case, id=case.name, marks=() if is_fast(case.name) else pytest.mark.slow)
    for case in array_cases(jax.make_mesh((1,), ("data",)))
    if not any(word in case.name for word in (*NOT_SPLIT, "sharded"))
]


@pytest.mark.parametrize("case", CASES)
def test_explicit_axes_are_no_error(case: Case):
    mesh = mesh_of(EXPLICIT)
    for by_columns in (False, True):
        shapes = [split_shape(mesh, x, by_columns) for x in case.arguments]
        shape = jax.eval_shape(case.function, *shapes)
        # The result is on the user's mesh, with its axes of the type that they had.
        assert all(x.sharding.mesh.explicit_axes for x in jax.tree.leaves(shape) if x.ndim > 0)


def curves(x, y):
    """What a user reads off one layer, by most routes."""
    solved = ja.spectrum(x, y, centered=True)
    sums = ja.spectrum(ja.moments(x, y) + ja.moments(x, y))
    q = ja.quadrature(x, y, order=2)
    lower, upper = ja.quadrature_bounds(q, [1.0])
    return (
        ja.alignment_curve(solved, [0.0, 1.0]),
        ja.alignment_area(ja.isotropic_null(sums)),
        ja.alignment_area(ja.permutation_null(x, y)),
        ja.alignment_area(ja.spectrum(ja.triangle(x, y))),
        lower,
        upper,
    )


def loss(x, y):
    solved = ja.spectrum(x, y)
    return (ja.alignment_area(solved) + ja.smooth_alignment(solved, 1.0)).sum()


def measured(x, y):
    features = ja.prepare(x)
    parts = ja.measure(x, jnp.sign(y), centered=False)
    spectra = ja.spectra({"a": features, "b": x}, y)
    return features, parts.curve, spectra["b"].energy, ja.stream_spectrum([(x, y)] * 2).total


def of_batches(x, y):
    x, y = (rows.reshape(4, 4, -1) for rows in (x, y))
    return jax.vmap(ja.spectrum)(x, y).energy


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((16, width)).astype(np.float32) for width in (4, 2)]


@pytest.mark.parametrize("kind", [EXPLICIT, pytest.param(AUTO, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("function", "transform"),
    [
        (ja.moments, ja.spectrum),
        (partial(ja.spectrum, method="triangular"), jax.jit),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                (curves, None),
                (curves, jax.jit),
                (measured, None),
                (jax.grad(loss, (0, 1)), None),
                (jax.grad(loss, (0, 1)), jax.jit),
                (jax.value_and_grad(loss), jax.jit),
            ]
        ),
    ],
)
def test_values_are_those_without_a_mesh(data, kind, function, transform):
    call = function
    if transform is jax.jit:
        call = jax.jit(function)
    elif transform is not None:
        call = lambda x, y: transform(function(x, y))  # noqa: E731
    expected = jax.tree.leaves(call(*map(jnp.asarray, data)))
    mesh = mesh_of(kind)
    for spec in (P("data"), P("data", "model")):
        placed = [jax.device_put(x, NamedSharding(mesh, spec)) for x in data]
        # An eager gradient on explicit axes needs the mesh set, of any function.
        with jax.set_mesh(mesh):
            found = jax.tree.leaves(call(*placed))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * float(np.abs(b).max()))


def gradient(x, y):
    return jax.grad(lambda x: ja.alignment_area(ja.spectrum(x, y)).sum())(x)


@pytest.mark.parametrize("kind", [EXPLICIT, pytest.param(AUTO, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "function",
    [
        partial(ja.spectrum, method="triangular"),
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in [
                ja.spectrum,
                partial(ja.spectrum, method="refined", centered=True),
                gradient,
                ja.moments,
                partial(ja.quadrature, order=2),
                lambda x, y: jax.vmap(ja.spectrum)(x.reshape(2, 8, 4), y.reshape(2, 8, 2)),
            ]
        ),
    ],
)
def test_a_batch_that_is_split_stays_split(data, kind, function):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    placed = [jax.device_put(np.stack([x] * 8), NamedSharding(mesh, P("data"))) for x in data]
    program = jax.jit(jax.vmap(function)).lower(*placed).compile()
    assert re.findall(rf"= (\S+) (?:{WIRE})(?:-start)?\(", program.as_text()) == []
    leaves = jax.tree.leaves(program(*placed))
    # Counts and constants are the same for every one of the batch.
    computed = [x for x in leaves if x.ndim > 1 and jnp.issubdtype(x.dtype, jnp.floating)]
    assert all(x.sharding.spec[:1] == ("data",) for x in computed)
    expected = jax.tree.leaves(function(*map(jnp.asarray, data)))
    for a, b in zip(leaves, expected, strict=True):
        one = np.asarray(a)[5]
        np.testing.assert_allclose(one, b, rtol=1e-4, atol=1e-4 * float(np.abs(b).max()))


@pytest.mark.slow
def test_a_loop_takes_what_its_calls_share():
    multiply = looped(jnp.matmul)
    a = jnp.arange(6.0).reshape(2, 3)
    b = jnp.arange(24.0).reshape(4, 3, 2)
    np.testing.assert_array_equal(jax.vmap(multiply, (None, 0))(a, b), a @ b)
    nested = jax.vmap(jax.vmap(multiply, (None, 0)), (0, None))(jnp.stack([a, 2 * a]), b)
    np.testing.assert_array_equal(nested, jnp.stack([a @ b, 2 * a @ b]))


@pytest.mark.slow
def test_a_batch_inside_a_shard_map_over_one_of_two_axes(data):
    mesh = mesh_of(AUTO)
    placed = [
        jax.device_put(np.stack([x] * 4), NamedSharding(mesh, P("data", "model"))) for x in data
    ]
    batch = jax.vmap(lambda x, y: ja.spectrum(x, y).energy)
    settings = {"in_specs": P("data"), "out_specs": P("data"), "axis_names": {"data"}}
    over_data = jax.shard_map(batch, mesh=mesh, check_vma=False, **settings)
    expected = ja.spectrum(*map(jnp.asarray, data)).energy
    np.testing.assert_allclose(jax.jit(over_data)(*placed)[3], expected, rtol=1e-4)


def test_results_lie_where_their_arrays_lie(data):
    device = jax.devices()[2]
    x, y = (jax.device_put(rows, device) for rows in data)
    labels = jax.device_put(np.arange(16) % 3, device)
    sums = ja.moments(x, y)
    null = ja.permutation_null(x, np.asarray(y))
    for result in (
        sums,
        sums + sums,
        ja.spectrum(x, y),
        ja.encode_targets(labels),
        ja.prepare(x),
        null,
    ):
        assert all(leaf.devices() == {device} for leaf in jax.tree.leaves(result))
    split = NamedSharding(mesh_of(EXPLICIT), P("data"))
    codes = ja.encode_targets(jax.device_put(labels, split))
    assert codes.sharding.spec == P("data")


@pytest.mark.slow
def test_a_key_made_where_a_mesh_is_in_use_is_no_error():
    """Such a key has the mesh in its type."""
    mesh = mesh_of(EXPLICIT)
    x, y = np.eye(6, 3, dtype=np.float32), np.arange(6, dtype=np.float32)

    def curves():
        return ja.permutation_curves(x, y, [0.5], key=jax.random.key(0), draws=2)

    expected = curves()
    x, y = (jax.device_put(array, NamedSharding(mesh, P("data"))) for array in (x, y))
    with jax.set_mesh(mesh):
        found = curves()
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("kind", [EXPLICIT, pytest.param(AUTO, marks=pytest.mark.slow)])
def test_what_is_on_no_mesh_may_be_used_where_one_is(data, kind):
    solve = jax.vmap(partial(ja.spectrum, method="triangular"))
    stacks = [np.stack([x] * 3) for x in data]
    expected = ja.spectrum(*data).singular_values
    with jax.set_mesh(mesh_of(kind)):
        found = solve(*stacks).singular_values
        np.testing.assert_allclose(found[1], expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [EXPLICIT, AUTO])
def test_sharded_where_a_mesh_is_in_use(data, kind):
    mesh = mesh_of(kind)
    solve = ja.sharded(mesh, rows="data", centered=True)
    expected = ja.spectrum(*(x[:15] for x in data), centered=True)
    x = jax.device_put(data[0], jax.devices()[3])
    with jax.set_mesh(mesh):
        found = solve(*(x[:15] for x in data))
        np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-4, atol=1e-4)
        batch = ja.sharded(mesh, batch="model")(*(np.stack([x[:15]] * 3) for x in data))
        assert batch.energy.shape == (3, 4, 2)
        # An eager call is computed where its arrays are.
        assert ja.spectrum(x, data[1], method="triangular").total.devices() == {jax.devices()[3]}


def test_arrays_in_different_places_are_refused(data):
    first, second = (jax.device_put(data[0], jax.devices()[i]) for i in (0, 1))
    y = jax.device_put(data[1], jax.devices()[1])
    for method in ("auto", "triangular"):
        with pytest.raises(ValueError, match=r"shape \(16, 4\) on cpu:0 and one of .* on cpu:1"):
            ja.spectrum(first, y, method=method)
    with pytest.raises(ValueError, match="arrays must be on the same devices"):
        ja.moments(first, data[1]) + ja.moments(second, data[1])
    other = jax.make_mesh((4, 1), ("data", "model"))
    x = jax.device_put(data[0], NamedSharding(mesh_of(EXPLICIT), P("data")))
    y = jax.device_put(data[1], NamedSharding(other, P("data")))
    with pytest.raises(ValueError, match=r"\(16, 2\) on the mesh {'data': 4, 'model': 1} beside"):
        ja.spectrum(x, y)
    assert ja.sharded(other, rows="data")(x, y).num_samples == 16
