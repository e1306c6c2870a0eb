import re
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja

WIRE = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"


@pytest.fixture
def data(rng):
    return rng.standard_normal((48, 6)), rng.standard_normal((48, 2))


def on_the_wire(program, *arguments) -> list[str]:
    """Result types of the collectives in the compiled program."""
    text = program.lower(*arguments).compile().as_text()
    return [m[1] for m in re.finditer(rf"= (\S+) (?:{WIRE})(?:-start)?\(", text)]


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def assert_close(a: ja.Spectrum, b: ja.Spectrum, rtol):
    for x, y in zip(arrays_of(a), arrays_of(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * float(np.abs(y).max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "centered"),
    [
        ("moments", False),
        ("refined", True),
        ("triangular", False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("moments", True), ("refined", False), ("triangular", True)]
        ),
    ],
)
def test_rows_over_devices_equal_one_device(data, mesh, method, centered):
    features, targets = data
    solve = ja.sharded(mesh, rows="data", method=method, centered=centered)
    with jax.enable_x64(True):
        for n in (48, 45, 5):  # divided by the mesh, not divided, fewer rows than features
            expected = ja.spectrum(features[:n], targets[:n], method="svd", centered=centered)
            found = solve(features[:n], targets[:n])
            kept = expected.singular_values > 1e-10  # centring takes a direction from wide features
            assert found.energy.shape == expected.energy.shape
            pairs = zip(arrays_of(found), arrays_of(expected), strict=True)
            for a, b in pairs:
                if len(b) == len(kept):
                    a, b = a[kept], b[kept]
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * float(np.abs(b).max()))
            assert found.num_samples == n


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_arrays_of_any_placement(data, kind):
    features, targets = (x.astype(np.float32) for x in data)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    placed = [jax.device_put(x, NamedSharding(mesh, P("data"))) for x in (features, targets)]
    solve, expected = ja.sharded(mesh, rows="data"), ja.spectrum(features, targets)
    assert_close(solve(features, targets), expected, 1e-5)
    assert_close(solve(*placed), expected, 1e-5)
    assert_close(jax.jit(solve)(*placed), expected, 1e-5)


@pytest.mark.slow
def test_what_goes_over_the_wire(data, mesh):
    """A sum of (d + 2)(d + 1 + k) numbers, one more for a second pass, the factors for QR; never Φ,
    and for batches nothing.
    """
    features, targets = (jnp.asarray(x, jnp.float32) for x in data)
    split = NamedSharding(mesh, P("data"))
    held = [jax.device_put(x, split) for x in (features, targets)]

    def rows(method):
        return on_the_wire(jax.jit(ja.sharded(mesh, rows="data", method=method)), *held)

    assert [re.sub(r"\{.*", "", t) for t in rows("moments")] == ["f64[8,9]"]
    assert [re.sub(r"\{.*", "", t) for t in rows("refined")] == ["f64[8,9]", "f64[8,9]"]
    assert [re.sub(r"\{.*", "", t) for t in rows("triangular")] == ["f32[4,8,9]"]
    batch = [jax.device_put(jnp.stack([x] * 8), split) for x in (features, targets)]
    for method in ("moments", "refined", "triangular", "svd"):
        assert on_the_wire(jax.jit(ja.sharded(mesh, batch="data", method=method)), *batch) == []


def test_plain_jit_with_sharded_arguments(data, mesh):
    """Nothing of ours but spectrum(moments): the compiler finds the one sum by itself."""
    features, targets = (
        jax.device_put(jnp.asarray(x, jnp.float32), NamedSharding(mesh, P("data"))) for x in data
    )
    program = jax.jit(lambda x, y: ja.spectrum(ja.moments(x, y)))
    assert_close(
        program(features, targets), ja.spectrum(*(x.astype(np.float32) for x in data)), 1e-5
    )


def test_pmap(data):
    """Its documentation calls it the old way; the same two lines work in it."""
    features, targets = (x.astype(np.float32).reshape(4, 12, -1) for x in data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        over = jax.pmap(
            lambda x, y: ja.spectrum(jax.lax.psum(ja.moments(x, y), "rows")), axis_name="rows"
        )
        found = over(features, targets)
        each = jax.pmap(partial(ja.spectrum, method="triangular"))(features, targets)
    expected = ja.spectrum(*(x.astype(np.float32) for x in data))
    assert_close(jax.tree.map(lambda x: x[3], found), expected, 1e-5)
    assert_close(jax.tree.map(lambda x: x[1], each), ja.spectrum(features[1], targets[1]), 1e-4)


@pytest.mark.parametrize("number", [8, 6])
def test_batches_over_devices(rng, mesh, number):
    features, targets = (rng.standard_normal((number, 20, w)).astype(np.float32) for w in (5, 1))
    found = ja.sharded(mesh, batch="data", centered=True)(features, targets)
    assert found.energy.shape == (number, 5, 1)
    for i in range(number):
        expected = ja.spectrum(features[i], targets[i], centered=True)
        assert_close(jax.tree.map(lambda x, i=i: x[i], found), expected, 1e-5)


def test_one_process_sums_to_itself(data):
    held = ja.moments(*data)
    assert ja.sum_over_processes(held) is held


def test_bad_arguments_are_explained(data, mesh):
    with pytest.raises(
        ValueError, match="name one mesh axis, as rows or as batch, found rows=None and batch=None"
    ):
        ja.sharded(mesh)
    with pytest.raises(ValueError, match="found rows='data' and batch='data'"):
        ja.sharded(mesh, rows="data", batch="data")
    with pytest.raises(ValueError, match=r"mesh has no axis 'rows' .* pass rows= one"):
        ja.sharded(mesh, rows="rows")
    with pytest.raises(ValueError, match="mesh has no axis 'x'"):
        ja.sharded(mesh, batch=("data", "x"))
    with pytest.raises(ValueError, match="method 'svd' does not take rows that are split"):
        ja.sharded(mesh, rows="data", method="svd")
    with pytest.raises(ValueError, match="method must be 'auto'"):
        ja.sharded(mesh, batch="data", method="qr")
    with pytest.raises(ValueError, match="features 48 and targets 47"):
        ja.sharded(mesh, rows="data")(data[0], data[1][:47])
    with pytest.raises(ValueError, match=r"features must be \(b, n, d\) and targets \(b, n, k\)"):
        ja.sharded(mesh, batch="data")(*data)


@pytest.mark.parametrize(
    ("method", "axes"), [("moments", {"data": 2}), ("refined", {"replica": 2, "data": 2})]
)
def test_rows_far_from_0_keep_their_spread(rng, method, axes):
    features = (rng.standard_normal((16, 3)) + 1e6).astype(np.float32)
    targets = (rng.standard_normal((16, 2)) - 1e6).astype(np.float32)
    mesh = jax.make_mesh(tuple(axes.values()), tuple(axes))
    solve = ja.sharded(mesh, rows=tuple(axes), method=method, centered=True)
    found = solve(features, targets)
    expected = ja.spectrum(features, targets, centered=True)
    np.testing.assert_allclose(found.singular_values, expected.singular_values, rtol=1e-6)
    np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-4)
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-6)
