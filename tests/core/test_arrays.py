"""Arrays of numbers come in from any container with no value changed, or are refused by name."""

import datetime
from array import array
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from jaxalign._core.arrays import as_numbers, needs_float64
from jaxalign._core.checks import as_program_array, as_real_floats

VALUES = np.array([[1.0, -2.5, 3.0], [0.0, 4.0, 1e30]])
INTEGERS = np.array([[1, -2, 3], [0, 4, 2**40 + 1]])

CONTAINERS = {
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "objects": lambda x: x.astype(object),
    "a masked array without masked values": np.ma.array,
    "nested lists": lambda x: x.tolist(),
    "tuples": lambda x: tuple(map(tuple, x.tolist())),
    "a list of rows": list,
    "a frame": pd.DataFrame,
    "a memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
}


@pytest.mark.parametrize("values", [VALUES, INTEGERS], ids=["floats", "integers"])
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_gives_the_same_values(container, values):
    found = as_numbers(container(values), "features")
    assert type(found) is np.ndarray
    assert found.dtype == values.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, values)


def test_numbers_of_python_and_other_types_are_read():
    np.testing.assert_array_equal(as_numbers(array("d", [1.5, 2]), "x"), [1.5, 2])
    np.testing.assert_array_equal(as_numbers([Decimal("1.5"), Fraction(1, 4)], "x"), [1.5, 0.25])
    np.testing.assert_array_equal(as_numbers(np.array([2**70, 1], object), "x"), [2.0**70, 1])
    np.testing.assert_array_equal(as_numbers(pd.Series([1, 2], dtype="Int64"), "x"), [1, 2])
    np.testing.assert_array_equal(as_numbers(range(3), "x"), [0, 1, 2])
    assert as_numbers(2**63 + 1, "x") == 2**63 + 1
    assert as_numbers(np.longdouble(1.5), "x").dtype == np.float64


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4, bool])
def test_small_dtypes_are_numbers(dtype):
    assert as_real_floats(np.ones(2, dtype), "x").tolist() == [1, 1]


def test_arrays_of_jax_pass_as_they_are():
    x = jnp.ones((2, 3))
    assert as_numbers(x, "x") is x
    assert as_numbers(nnx.Param(x), "x").dtype == x.dtype
    assert jax.eval_shape(lambda a: as_numbers([[a, 1.0], [2.0, a]], "x"), 1.0).shape == (2, 2)


def test_tensors_of_torch_are_read():
    torch = pytest.importorskip("torch")
    for tensor in (
        torch.tensor(VALUES),
        torch.tensor(VALUES, requires_grad=True),
        list(torch.tensor(VALUES)),
        torch.tensor(VALUES.T).T,
    ):
        np.testing.assert_array_equal(as_numbers(tensor, "x"), VALUES)
    assert as_numbers(torch.ones(2, dtype=torch.bfloat16), "x").tolist() == [1, 1]
    with pytest.raises(TypeError, match="x is sparse, a Tensor; pass its dense array"):
        as_numbers(torch.eye(2).to_sparse(), "x")


def test_sparse_matrices_are_refused():
    from jax.experimental.sparse import BCOO
    from scipy import sparse

    for matrix in (sparse.eye(3), sparse.csr_array(np.eye(2)), BCOO.fromdense(jnp.eye(2))):
        with pytest.raises(TypeError, match=r"x is sparse, a \w+; pass its dense array"):
            as_numbers(matrix, "x")


MASKED = np.ma.array([1.0, 2.0], mask=[False, True])
NO_NUMBERS = {
    "None": None,
    "a dict": {"a": 1},
    "a text": "1.5",
    "bytes": b"1",
    "a set": {1.0},
    "a generator": (x for x in [1.0]),
    "a function": len,
    "a class": float,
    "a model": nnx.Linear(2, 2, rngs=nnx.Rngs(0)),
    "a shape": jax.ShapeDtypeStruct((2,), jnp.float32),
    "texts": np.array(["1"]),
    "texts among objects": np.array([1.0, "1"], object),
    "texts in a list": [1.0, "1"],
    "None in a list": [[1.0, None]],
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
    "durations": np.array([1], "timedelta64[s]"),
    "dates of Python": [datetime.date(2020, 1, 1)],
    "dates of pandas": pd.Series(pd.date_range("2020", periods=2)),
    "a frame with text": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "categories": pd.Series(["a", "b"], dtype="category"),
    "records": np.array([(1, 2.0)], [("a", int), ("b", float)]),
    "complex numbers": np.ones(2, complex),
    "complex numbers in a list": [1j],
    "a random key": jax.random.key(0),
    "float0": np.zeros(2, jax.dtypes.float0),
    "a ragged list": [[1.0, 2.0], [3.0]],
    "rows of different depth": [[1.0], 2.0],
    "masked values": MASKED,
    "masked values in a list": [MASKED, MASKED],
    "a masked constant": [1.0, np.ma.masked],
    "a number beyond float64": np.array([10**400], object),
}


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_array_of_numbers_is_refused_by_name(value):
    with pytest.raises((TypeError, ValueError), match=r"^features (must|is)"):
        as_numbers(value, "features")


@given(
    npst.arrays(
        st.sampled_from(["i1", "u2", "i4", "u4", "i8", "u8", ">i8", "f2", "f4", "f8", "bool"]),
        npst.array_shapes(min_dims=1, max_dims=2, max_side=4),
    )
)
def test_reals_are_exact_or_rounded_only_by_float32(x):
    wide = np.asarray(x, np.float64)
    exact = np.isfinite(wide).all()
    with jax.enable_x64(True):
        found = as_real_floats(x, "x")
    rounding = 0 if found.dtype == np.float64 or needs_float64(x) else 2.0**-24
    if exact:
        np.testing.assert_allclose(np.asarray(found, np.float64), wide, rtol=rounding, atol=0)


@given(st.sampled_from(["i4", "u4", "i8", "u8"]), st.integers(0, 2**33))
def test_only_integers_beyond_float32_need_float64(dtype, value):
    held = np.array([min(value, np.iinfo(dtype).max)], dtype)
    assert needs_float64(held) == (int(held[0]) > 2**24)
    if np.float32(held[0]) != float(held[0]):
        assert needs_float64(held)


def test_programs_are_given_the_values_they_can_hold():
    assert as_program_array(np.arange(3), "x").dtype == jnp.int32
    assert as_program_array(np.linspace(0, 1, 5), "x").dtype == jnp.float32
    for x, message in (
        (np.array([2**40]), "x must fit in int32, found 1099511627776"),
        (np.array([1e40]), r"x must fit in float32, found values up to 1\.e\+40"),
        (1e8 + np.linspace(0, 1, 5), "x must vary by more than their rounding in float32"),
    ):
        with pytest.raises(ValueError, match=message):
            as_program_array(x, "x")
        with jax.enable_x64(True):
            np.testing.assert_array_equal(as_program_array(x, "x"), x)


def test_arrays_that_are_gone_are_refused():
    x = jnp.ones((2, 3))
    x.delete()
    with pytest.raises(ValueError, match="features was deleted, or donated"):
        as_numbers(x, "features")
