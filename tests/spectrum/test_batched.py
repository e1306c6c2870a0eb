import re
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign._core import checks, linalg
from jaxalign._core.loops import in_turn_if_few
from jaxalign._spectrum import batched
from jaxalign._spectrum.classes import common_widths, shared


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What two routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


@pytest.fixture
def layers(rng):
    return {
        name: rng.standard_normal((40, d)).astype(np.float32)
        for name, d in (("wide", 60), ("b", 5), ("a", 7), ("c", 33))
    }


@pytest.fixture
def targets(rng):
    return rng.standard_normal((40, 2)).astype(np.float32)


def assert_each(found, layers, targets, **settings):
    assert list(found) == list(layers)
    for name, features in layers.items():
        alone = ja.spectrum(features, targets, **settings)
        for a, b in zip(arrays_of(found[name]), arrays_of(alone), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("method", ["auto", "refined", "triangular"])
def test_ragged_layers_are_as_one_by_one(layers, targets, x64, method, centered):
    settings = {"method": method, "centered": centered}
    assert_each(ja.spectra(layers, targets, **settings), layers, targets, **settings)


def batches_for(platform, layers, targets) -> list[tuple[int, int]]:
    """(matrices, width) of every eigensolver in the program of a platform."""
    program = jax.jit(lambda layers: ja.spectra(layers, targets))
    text = jax.export.export(program, platforms=[platform])(layers).mlir_module()
    shapes = re.findall(r"custom_call @\w*syevd\w*\(.*-> \(tensor<([\dx]+)xf64>", text)
    sizes = [[int(size) for size in shape.split("x")] for shape in shapes]
    return sorted((1 if len(size) == 2 else size[0], size[-1]) for size in sizes)


@pytest.mark.slow
def test_layers_of_similar_width_share_an_eigensolver_on_an_accelerator(layers, targets):
    ragged = {f"layer {d}": layers["c"][:, :d] for d in (17, 24, 33, 17, 30, 25)} | {
        "e": layers["c"]
    }
    assert batches_for("cuda", ragged, targets) == [(1, 17), (2, 25), (3, 33)]
    assert {width for _, width in batches_for("cpu", ragged, targets)} == {17, 24, 25, 30, 33}


@pytest.mark.slow
def test_a_gpu_takes_few_wide_layers_one_by_one(targets, rng):
    wide = rng.standard_normal((300, 140)).astype(np.float32)
    y = rng.standard_normal((300, 1)).astype(np.float32)
    layers = {f"layer {d}": wide[:, :d] for d in (128, 130, 140)}
    assert batches_for("cuda", layers, y) == [(1, 128), (1, 130), (1, 140)]
    assert batches_for("cuda", {"a": wide, "b": 2 * wide, "c": wide[:, :120]}, y) == [
        (1, 120),
        (1, 140),
        (1, 140),
    ]
    many = {f"layer {d}": wide[:, :d] for d in range(133, 140)}
    assert batches_for("cuda", many, y) == [(7, 139)]


@pytest.mark.parametrize(("axes", "calls"), [((2,), 2), ((3, 2), 6), ((4, 2), 1), ((1, 1), 1)])
def test_few_entries_of_any_vmap_are_one_call_each(rng, axes, calls):
    stack = rng.standard_normal((*axes, 4, 4))
    stack = stack + stack.swapaxes(-1, -2)
    solve = in_turn_if_few(jnp.linalg.eigvalsh, lambda count, x: count <= 6 and x.shape[-1] == 4)
    for _ in axes:
        solve = jax.vmap(solve, in_axes=-1, out_axes=-1)
    leading, trailing = range(len(axes)), range(-1, -1 - len(axes), -1)
    last = np.moveaxis(stack, leading, trailing)
    expected = np.moveaxis(np.linalg.eigvalsh(stack), leading, trailing)
    np.testing.assert_allclose(jax.jit(solve)(last), expected, atol=1e-5)
    text = jax.jit(solve).lower(last).compile().as_text()
    assert text.count('custom_call_target="lapack') == calls


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_few_entries_that_may_be_split_over_devices_stay_a_stack(kind):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    solve = jax.vmap(in_turn_if_few(jnp.linalg.eigvalsh, lambda count, x: True))
    whole = jax.ShapeDtypeStruct((4, 8, 8), jnp.float32)
    by_rows = jax.sharding.NamedSharding(mesh, P("data"))

    def calls(function, stack) -> int:
        return jax.jit(function).lower(stack).compile().as_text().count("lapack_ssyev")

    with jax.set_mesh(mesh):
        assert calls(solve, whole.update(sharding=by_rows)) == 1
    # Without a mesh in use, over automatic axes the type of an array does not say how it is split.
    assert calls(solve, whole.update(sharding=by_rows)) == 1
    # Each device has all of them.
    own = jax.shard_map(solve, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    assert calls(own, whole) == 4
    with jax.set_mesh(jax.make_mesh((1,), ("data",), axis_types=(kind,))):
        assert calls(solve, whole) == 4


@given(widths=st.lists(st.integers(1, 3000), min_size=1))
def test_no_width_is_padded_by_more_than_an_eighth(widths):
    classes = common_widths(widths)
    assert set(classes) == set(widths)
    for width, common in classes.items():
        assert width <= common <= width * 8 / 7
        assert classes[common] == common  # so its widest member, and layers of one width, are not
    # No two classes could be one.
    assert all(7 * b > 8 * a for a, b in pairwise(sorted(set(classes.values()))))


def padded(layers, targets) -> dict[str, ja.Spectrum]:
    """As on an accelerator, computed on whatever there is."""
    pairs = [(jnp.asarray(x), jnp.asarray(targets)) for x in layers.values()]
    classes = shared(batched.classes_of(pairs, "auto"))
    assert len(set(classes)) < len(layers)
    return dict(zip(layers, batched.in_batches(classes, False, pairs), strict=True))


@pytest.mark.gpu
def test_padded_layers_are_as_one_by_one(layers, targets):
    ragged = {f"layer {d}": layers["wide"][:, :d] for d in (37, 42, 7, 8)}
    assert_each(jax.jit(padded)(ragged, targets), dict(sorted(ragged.items())), targets)


@pytest.mark.gpu
def test_sequences_and_stacks(layers, targets, rng):
    held = ja.spectra(list(layers.values()), targets)
    assert_each(dict(zip(layers, held, strict=True)), layers, targets)
    stack = rng.standard_normal((3, 40, 6)).astype(np.float32)
    each = rng.standard_normal((3, 40, 1)).astype(np.float32)
    for y in (targets, each):
        for found in (ja.spectra(stack, y), jax.jit(ja.spectra)(stack, y)):
            assert found.energy.shape == (3, 6, y.shape[-1])
            expected = ja.spectrum(stack[2], y[2] if y.ndim == 3 else y)
            np.testing.assert_allclose(found.energy[2], expected.energy, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.slow
def test_gradient_through_a_width_class(layers, targets):
    ragged = {"a": layers["c"], "b": layers["c"][:, :30]}

    def area(solve):
        def total(held):
            return sum(ja.alignment_area(s).sum() for s in solve(held, targets).values())

        return jax.jit(jax.grad(total))

    apart = {name: area(ja.spectra)({name: x})[name] for name, x in ragged.items()}
    for solve in (padded, ja.spectra):
        together = area(solve)(ragged)
        for name in ragged:
            np.testing.assert_allclose(together[name], apart[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_layers_on_an_accelerator_are_one_program(layers, targets, monkeypatch, compiled_programs):
    """Beside one small check of each array."""
    for module in (batched, checks):
        monkeypatch.setattr(module, "is_on_host", lambda *arrays: False)
    with compiled_programs() as names:
        ja.spectra(layers, targets)
    assert [name for name in names if "finite" not in name] == ["jit(_of_pairs)"]
    with compiled_programs() as names:
        ja.spectra(layers, targets)
    assert names == []


@pytest.mark.slow
def test_many_batched_solvers_in_one_program_end(rng, monkeypatch):
    """Three or more batched LAPACK calls in one program wait for each other for ever on jax 0.10
    and two cores.
    """
    monkeypatch.setattr(linalg, "AT_ONCE", 8)  # all at once, as outside of the tests
    seeds = jnp.asarray(rng.standard_normal((8, 200, 64)), jnp.float32)
    targets = jnp.ones((200, 1))

    @jax.jit
    def areas(x):
        scaled = [
            jax.vmap(lambda a, c=c: ja.alignment_area(ja.spectrum(a * c, targets)))(x)
            for c in range(1, 9)
        ]
        return jnp.stack(scaled)

    for _ in range(3):
        found = areas(seeds).block_until_ready()
    np.testing.assert_allclose(found[7], 8 * found[0], rtol=1e-4)


@pytest.mark.slow
def test_batches_of_batches_are_one_loop_of_several_calls_a_turn(rng, x64):
    stack = jnp.asarray(rng.standard_normal((3, 5, 7, 30, 6)), jnp.float32)
    targets = jnp.ones((30, 2))
    solve = jax.vmap(jax.vmap(jax.vmap(lambda phi: ja.spectrum(phi, targets))))
    scans = re.findall(
        r"scan\[.*?length=(\d+).*?unroll=(\d+)", str(jax.make_jaxpr(solve)(stack)), re.DOTALL
    )
    assert ("105", str(linalg.AT_ONCE)) in scans
    nested = jax.jit(solve)(stack)
    flat = ja.spectra(stack.reshape(-1, 30, 6), targets)
    for found, expected in zip(arrays_of(nested), arrays_of(flat), strict=True):
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_bad_input_names_the_layer(layers, targets):
    with pytest.raises(ValueError, match=r"features\['b'\]: features must be finite"):
        ja.spectra({**layers, "b": np.full((40, 2), np.nan)}, targets)
    with pytest.raises(
        ValueError,
        match=r"features\[1\]: features and targets must have as many rows, found features 7",
    ):
        ja.spectra([layers["a"], layers["a"][:7]], targets)
    with pytest.raises(ValueError, match=r"features must be \(b, n, d\), a list or a mapping"):
        ja.spectra(layers["a"], targets)
    with pytest.raises(
        ValueError, match=r"must agree in b and n, found \(3, 5, 2\) and \(2, 5, 1\)"
    ):
        ja.spectra(np.ones((3, 5, 2)), np.ones((2, 5, 1)))
    with pytest.raises(ValueError, match=r"must not be empty, found shapes \(0, 5, 2\)"):
        ja.spectra(np.ones((0, 5, 2)), np.ones((5, 1)))
    with pytest.raises(ValueError, match=r"features must be finite, found 1 NaN .*\(2, 0, 1\)"):
        ja.spectra(np.where(np.arange(30) == 21, np.nan, 1.0).reshape(3, 5, 2), np.ones((5, 1)))
    assert ja.spectra({}, targets) == {}
    assert ja.spectra([], targets) == []
