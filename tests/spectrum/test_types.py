"""A Spectrum as a pytree: stacked, mapped and differentiated across routes; what jit does not
change; and that moments and triangles of parts can be summed.
"""

import io
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from rich.console import Console

import jaxalign as ja
from jaxalign._spectrum.types import ROUTE_NAMES

METHODS = ["moments", "refined", "triangular", "svd"]


@pytest.fixture
def data(rng):
    features = rng.standard_normal((30, 5)).astype(np.float32)
    return features, rng.standard_normal((30, 2)).astype(np.float32)


def stack(*spectra: ja.Spectrum) -> ja.Spectrum:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *spectra)


def test_spectra_of_all_routes_stack_map_and_come_apart(data, x64):
    each = [ja.spectrum(*data, method=method) for method in METHODS]
    structures = {jax.tree.structure(spectrum) for spectrum in each}
    assert len(structures) == 1
    batch = stack(*each)
    assert isinstance(batch, ja.Spectrum)
    assert batch.singular_values.shape == (4, 5)
    assert batch.energy.shape == (4, 5, 2)
    assert [ROUTE_NAMES[i] for i in batch.route] == METHODS
    np.testing.assert_array_equal(batch.num_samples, 30)
    np.testing.assert_array_equal(batch.rank, 5)
    for i, spectrum in enumerate(each):
        one = jax.tree.map(lambda x, i=i: x[i], batch)
        assert one.route_name == spectrum.route_name
        assert repr(one) == repr(spectrum)
        jax.tree.map(np.testing.assert_array_equal, one, spectrum)
    areas = jax.vmap(ja.alignment_area)(batch)
    np.testing.assert_allclose(areas, jnp.broadcast_to(areas[0], areas.shape), rtol=1e-5)
    # Condition and error of a batch are those of its spectra.
    for name in ("condition", "error"):
        values = [getattr(spectrum, name) for spectrum in each]
        np.testing.assert_allclose(getattr(batch, name), values, rtol=1e-6)


def test_only_the_dtype_is_static(data):
    spectrum = ja.spectrum(*data)
    assert len(jax.tree.leaves(spectrum)) == 6
    assert spectrum.num_samples.dtype == spectrum.rank.dtype == spectrum.route.dtype == jnp.int32
    with jax.enable_x64(True):
        wide = ja.spectrum(*(x.astype(np.float64) for x in data))
    assert jax.tree.structure(wide) != jax.tree.structure(spectrum)
    assert (wide.dtype, spectrum.dtype) == ("float64", "float32")
    # Unflattening looks at nothing: jax puts other things than arrays into a tree.
    leaves, structure = jax.tree.flatten(spectrum)
    names = jax.tree.unflatten(structure, [str(i) for i in range(len(leaves))])
    assert names.route == "5"
    assert jax.tree.map(lambda _: None, spectrum).energy is None
    with pytest.raises(AttributeError):
        spectrum.rank = 3


def test_a_batch_and_a_traced_spectrum_have_a_repr(data):
    spectrum = ja.spectrum(*data)
    expected = "Spectrum(num_samples=30, rank=5 of 5, targets=2, route='moments', dtype='float32')"
    assert repr(spectrum) == expected
    batch = repr(stack(spectrum, spectrum))
    assert batch == "Spectrum(energy of shape (2, 5, 2), dtype='float32')"
    seen = []
    jax.make_jaxpr(lambda s: seen.append(repr(s)))(spectrum)
    assert seen == ["Spectrum(energy of shape (5, 2), dtype='float32')"]


@pytest.mark.parametrize("read", [ja.spectrum, ja.measure], ids=["Spectrum", "Alignment"])
def test_whatever_the_leaves_have_become_has_a_repr(data, read):
    read = partial(read, centered=True)
    shapes = jax.eval_shape(read, *data)
    assert "of shape" in repr(shapes)
    result = read(*data)
    for changed in (str, type, np.shape, jax.typeof, lambda _: None, lambda _: P("data")):
        assert repr(jax.tree.map(changed, result)).startswith(type(result).__name__)
    jax.tree.map(lambda leaf: leaf.delete(), result)
    assert "of shape" in repr(result)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [("moments", "triangular"), ("refined", "svd")], ids="-".join)
def test_two_routes_in_one_program(data, x64, pair):
    """Under jit, vmap and scan: a route that is chosen by a traced number is a leaf like others."""
    features, targets = map(jnp.asarray, data)
    expected = stack(*(ja.spectrum(features, targets, method=method) for method in pair))

    def either(which):
        branches = [partial(ja.spectrum, method=method) for method in pair]
        return jax.lax.switch(which, branches, features, targets)

    which = jnp.arange(2)
    ways = {
        "vmap": jax.jit(jax.vmap(either))(which),
        "scan": jax.jit(lambda: jax.lax.scan(lambda c, i: (c, either(i)), 0, which)[1])(),
    }
    for name, batch in ways.items():
        assert [ROUTE_NAMES[i] for i in batch.route] == list(pair), name
        for found, wanted in zip(jax.tree.leaves(batch), jax.tree.leaves(expected), strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=5e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        "moments",
        *(pytest.param(method, marks=pytest.mark.slow) for method in ("refined", "triangular")),
        "svd",
    ],
)
def test_cotangents_of_counts_are_float0(data, x64, method):
    """Counts pass through a gradient that other leaves are part of, also as inputs of the function
    that is differentiated.
    """
    features, targets = map(jnp.asarray, data)
    spectrum, pull = jax.vjp(lambda x: ja.spectrum(x, targets, method=method), features)
    ones = jax.tree.map(
        lambda x: (
            jnp.ones_like(x)
            if jnp.issubdtype(x.dtype, jnp.floating)
            else np.zeros(x.shape, jax.dtypes.float0)
        ),
        spectrum,
    )
    (by_features,) = pull(ones)
    assert by_features.dtype == jnp.float32
    assert np.isfinite(by_features).all()
    bars = jax.grad(lambda s: ja.alignment_area(s).sum(), allow_int=True)(spectrum)
    assert isinstance(bars, ja.Spectrum)
    assert bars.num_samples.dtype == bars.rank.dtype == bars.route.dtype == jax.dtypes.float0
    np.testing.assert_allclose(bars.singular_values, spectrum.energy.sum(axis=1), rtol=1e-6)

    def share(x):
        s = ja.spectrum(x, targets, method=method)
        return (ja.alignment_area(s) / s.num_samples * (s.rank > 0)).sum()

    plain = jax.grad(share)(features)
    batch = jax.jit(jax.vmap(jax.grad(share)))(jnp.stack([features, features]))
    np.testing.assert_allclose(batch[1], plain, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_gradient_through_stacked_spectra_of_two_routes_is_the_sum(data):
    features, targets = map(jnp.asarray, data)

    def area(x, methods):
        batch = stack(*(ja.spectrum(x, targets, method=method) for method in methods))
        return jax.vmap(ja.alignment_area)(batch).sum()

    both = jax.grad(area)(features, ("moments", "triangular"))
    apart = [jax.grad(area)(features, (method,)) for method in ("moments", "triangular")]
    np.testing.assert_allclose(both, sum(apart), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(apart[0], apart[1], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wide", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["tall", "wide"]
)
@pytest.mark.parametrize("method", METHODS)
def test_centring_is_the_same_eagerly_and_under_jit(data, x64, method, wide):
    """With an offset of 1000: means are taken in float64 on every path, once."""
    features, targets = data
    if wide:
        features = features[:4]
        targets = targets[:4]
    solve = partial(ja.spectrum, method=method, centered=True)
    offset = np.float32(1000)
    exact = (features + offset).astype(float)
    exact = exact - exact.mean(axis=0)
    sigma = np.linalg.svd(exact, compute_uv=False)
    eager = solve(features + offset, targets + offset)
    arrays = (jnp.asarray(features + offset), jnp.asarray(targets + offset))
    ways = {
        "jit": jax.jit(solve)(*arrays),
        "vmap": jax.tree.map(lambda x: x[0], jax.vmap(solve)(*(x[None] for x in arrays))),
        "spectra": ja.spectra([features + offset], targets + offset, method=method, centered=True)[
            0
        ],
    }
    np.testing.assert_allclose(eager.singular_values, sigma, rtol=3e-6, atol=1e-6 * sigma[0])
    for name, spectrum in ways.items():
        assert spectrum.rank == eager.rank, name
        for leaf in ("singular_values", "total"):
            np.testing.assert_allclose(
                getattr(spectrum, leaf), getattr(eager, leaf), rtol=5e-7, atol=1e-6, err_msg=name
            )
        np.testing.assert_allclose(
            ja.alignment_area(spectrum), ja.alignment_area(eager), rtol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("each", [ja.moments, ja.triangle])
def test_sums_begin_at_zero(data, each):
    features, targets = data
    parts = [each(features[i : i + 10], targets[i : i + 10]) for i in (0, 10, 20)]
    whole = each(features, targets)
    assert sum(parts).num_samples == 30
    found = ja.spectrum(sum(parts))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(ja.spectrum(whole)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)
    with pytest.raises(TypeError):
        sum(parts, 1)
    with pytest.raises(TypeError):
        None + whole


@pytest.mark.parametrize("measure", [ja.aligned_rank, ja.isotropic_null])
def test_what_counts_directions_refuses_a_quadrature(data, measure):
    spectrum = ja.quadrature(*data, order=3).spectrum
    assert spectrum.route_name == "quadrature"
    assert spectrum.rank == -1
    assert np.isnan(spectrum.condition)
    assert np.isnan(spectrum.error)
    with pytest.raises(ValueError, match="counts directions, which a quadrature does not know"):
        measure(spectrum)
    # One of a batch is enough.
    plain = replace(spectrum, rank=jnp.asarray(3, jnp.int32))
    with pytest.raises(ValueError, match="counts directions"):
        measure(stack(plain, spectrum))


def printed(spectrum) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(spectrum)
    return console.file.getvalue()


def test_rich_shows_how_much_of_the_targets_the_first_directions_hold(made):
    text = printed(made([4.0, 2.0, 1.0], [50.0, 25.0, 0.0], 100.0))
    rows = [line.split() for line in text.splitlines()[2:]]
    assert rows == [["1", "4", "50.0%"], ["2", "2", "75.0%"], ["3", "1", "75.0%"]]
    one = made([1.0], [1.0], 1.0)
    assert "energy of shape (2, 1, 1)" in printed(stack(one, one))
    assert "nan%" in printed(made([1.0], [0.0], 0.0))
