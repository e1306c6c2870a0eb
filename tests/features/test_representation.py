from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign._features import WidthWarning


def test_prepare_appends_ones_then_normalizes_rows(rng, x64):
    x = rng.standard_normal((6, 4)).astype(np.float32)
    expected = np.concatenate([x, np.ones((6, 1), np.float32)], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = ja.prepare(x)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(ja.prepare(x, bias=False, normalize=False), x)


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        ("flatten", lambda x: x.reshape(3, -1)),
        ("mean", lambda x: x.mean(axis=(1, 2))),
        ("samples", lambda x: x.reshape(-1, 5)),
        ("cls", lambda x: x[:, 0, 0]),
    ],
)
def test_reduce(rng, reduce, expected):
    x = rng.standard_normal((3, 2, 4, 5)).astype(np.float32)
    found = ja.prepare(x, bias=False, normalize=False, reduce=reduce)
    np.testing.assert_allclose(found, expected(x), rtol=1e-5, atol=1e-6)
    matrix = expected(x)
    np.testing.assert_array_equal(
        ja.prepare(matrix, bias=False, normalize=False, reduce=reduce), matrix
    )


def test_rows_of_any_size_have_norm_one_and_zero_rows_stay_zero():
    x = np.array([[1e30, 1e30], [1e-30, 1e-30], [0, 0]], np.float32)
    found = ja.prepare(x, bias=False)
    np.testing.assert_allclose(found, [[0.5**0.5] * 2, [0.5**0.5] * 2, [0, 0]], rtol=1e-6)
    assert np.isfinite(
        jax.grad(lambda x: ja.prepare(x, bias=False).sum())(jnp.asarray(x[2:]))
    ).all()


def test_prepare_under_jit_vmap_and_grad(rng, x64):
    x = jnp.asarray(rng.standard_normal((2, 5, 3)), jnp.float32)
    np.testing.assert_allclose(jax.jit(jax.vmap(ja.prepare))(x)[1], ja.prepare(x[1]), rtol=1e-6)
    direction = rng.standard_normal((5, 3))

    def plain(x):
        wide = np.concatenate([x, np.ones((5, 1))], axis=1)
        return (wide / np.linalg.norm(wide, axis=1, keepdims=True))[:, 0].sum()

    gradient = jax.grad(lambda x: ja.prepare(x)[:, 0].sum())(x[0])
    at = np.asarray(x[0], float)
    expected = (plain(at + 1e-6 * direction) - plain(at - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.ones(4), "at least one feature axis"),
        (np.float32(1), "at least one feature axis"),
        (np.ones((0, 3)), "must not be empty"),
        (np.ones((3, 0)), "must not be empty"),
        ([[1.0, np.nan]], "activations must be finite"),
    ],
)
def test_prepare_explains_bad_input(activations, message):
    with pytest.raises(ValueError, match=message):
        ja.prepare(activations)


def test_prepare_explains_an_unknown_reduce():
    with pytest.raises(
        ValueError, match="reduce must be 'flatten', 'mean', 'samples' or 'cls', found 'max'"
    ):
        ja.prepare(np.ones((3, 2)), reduce="max")


@pytest.mark.slow
@pytest.mark.parametrize("padding", [0.0, 1e30, np.nan])
def test_padding_changes_no_masked_mean(rng, padding):
    x = rng.standard_normal((3, 4, 5)).astype(np.float32)
    lengths = np.array([4, 2, 1])
    mask = np.arange(7) < lengths[:, None]
    padded = np.full((3, 7, 5), padding, np.float32)
    padded[mask] = x[np.arange(4) < lengths[:, None]]
    expected = np.concatenate(
        [ja.prepare(x[i : i + 1, :length], reduce="mean") for i, length in enumerate(lengths)]
    )
    for given in (mask, mask.astype(np.int32), mask.tolist()):
        found = ja.prepare(padded, reduce="mean", mask=given)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for traced in (
        jax.jit(lambda a, m: ja.prepare(a, reduce="mean", mask=m))(padded, mask),
        jax.jit(lambda a: ja.prepare(a, reduce="mean", mask=jnp.asarray(mask)))(padded),
    ):
        np.testing.assert_allclose(traced, expected, rtol=1e-5, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda a: ja.prepare(a, reduce="mean", mask=mask)[:, 0].sum()))(
        padded
    )
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=-1) > 0).tolist() == mask.tolist()


def test_a_mask_over_two_axes_of_positions_and_one_that_keeps_all(rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    mask = rng.random((2, 3, 4)) < 0.5
    found = ja.prepare(x, bias=False, normalize=False, reduce="mean", mask=mask)
    np.testing.assert_allclose(
        found, [a[m].mean(axis=0) for a, m in zip(x, mask, strict=True)], rtol=1e-5, atol=1e-6
    )
    every = ja.prepare(x, reduce="mean", mask=np.ones((2, 3, 4), bool))
    np.testing.assert_allclose(every, ja.prepare(x, reduce="mean"), rtol=1e-6)


def test_masked_samples_are_weights_of_moments(rng):
    x = rng.standard_normal((4, 6, 3)).astype(np.float32)
    y = rng.standard_normal((24, 2)).astype(np.float32)
    mask = (np.arange(6) < np.array([[6], [1], [3], [4]])).ravel()
    phi = ja.prepare(x, reduce="samples")
    found, expected = (
        ja.spectrum(ja.moments(phi, y, mask)),
        ja.spectrum(ja.moments(phi[mask], y[mask])),
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mask", "reduce", "error", "message"),
    [
        (np.ones((3, 5)), "mean", ValueError, r"shape \(3, 4\), .* found \(3, 5\)"),
        (np.ones((3, 4)), "mean", TypeError, "boolean, or integers 0 and 1, found float"),
        (np.full((3, 4), 2), "mean", ValueError, r"0 and 1 only, found 2 \.\.\. 2"),
        (np.arange(12).reshape(3, 4) < 8, "mean", ValueError, "none in 1 rows, as in row 2"),
        (np.ones((3, 4), bool), "samples", ValueError, r"mask.ravel\(\) as weights"),
        (
            np.ones((3, 4), bool),
            "flatten",
            ValueError,
            "goes with reduce='mean', found reduce='flatten'",
        ),
        (np.ones((3, 4), bool), "cls", ValueError, "goes with reduce='mean', found reduce='cls'"),
    ],
)
def test_bad_masks_are_explained(mask, reduce, error, message):
    with pytest.raises(error, match=message):
        ja.prepare(np.ones((3, 4, 2)), reduce=reduce, mask=mask)


def test_a_mask_needs_positions_and_a_traced_row_without_any_is_nan():
    with pytest.raises(
        ValueError, match=r"needs activations with positions, .* found activations \(3, 2\)"
    ):
        ja.prepare(np.ones((3, 2)), reduce="mean", mask=np.ones(3, bool))
    found = jax.jit(lambda m: ja.prepare(np.ones((2, 3, 2)), reduce="mean", mask=m))(
        np.array([[1, 1, 0], [0, 0, 0]])
    )
    assert np.isnan(found).any(axis=1).tolist() == [False, True]


def test_a_huge_map_that_is_flattened_warns_of_its_moments():
    def flatten(*shape):
        return jax.eval_shape(ja.prepare, jax.ShapeDtypeStruct(shape, jnp.float32))

    with pytest.warns(
        WidthWarning,
        match=r"d = 200704 features, .* 300 GiB; reduce='mean' makes d = 64, .* n = 8 < d",
    ) as caught:
        flatten(8, 56, 56, 64)
    assert len(caught) == 1
    with pytest.warns(WidthWarning) as caught:
        flatten(40_000, 20_000, 1)
    assert "at once" not in str(caught[0].message)  # n ≥ d: no route is spared the d × d
    with pytest.warns(WidthWarning) as caught:
        ja.prepare(np.ones((1, 129, 128), np.float32))
    # Once a line of the caller, so it names none of the package.
    assert Path(ja.__file__).parent not in Path(caught[0].filename).parents
    assert flatten(8, 128, 128).shape == (8, 128 * 128 + 1)  # 2 GiB
    assert flatten(8, 200_704).shape == (8, 200_705)  # nothing is flattened


@pytest.mark.parametrize("reduce", ["flatten", "mean", "samples", "cls"])
def test_prepare_is_its_two_halves(rng, x64, reduce):
    x = rng.standard_normal((6, 3, 4)).astype(np.float32)
    features = ja.pool(x, reduce=reduce)
    assert features.dtype == jnp.float32
    for bias in (True, False):
        whole = ja.prepare(x, reduce=reduce, bias=bias)
        np.testing.assert_array_equal(ja.unit_rows(features, bias=bias), whole)
        np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-6)
    raw = ja.prepare(x, reduce=reduce, bias=False, normalize=False)
    np.testing.assert_array_equal(raw, features)


def test_halves_refuse_what_they_cannot_use():
    with pytest.raises(ValueError, match=r"features must be a matrix \(n, d\), found shape \(3,\)"):
        ja.unit_rows(np.ones(3))
    with pytest.raises(ValueError, match="features must be finite"):
        ja.unit_rows([[1.0, np.nan]])
    with pytest.raises(ValueError, match="reduce must be"):
        ja.pool(np.ones((2, 2, 2)), reduce="middle")
