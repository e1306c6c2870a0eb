"""Layers of equal width are one batch in a program for an accelerator."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign._core import alike
from jaxalign._spectrum.unit_rows import quadrature_of_unit_rows
from jaxalign.models import MLP
from jaxalign.monitoring import alignment_measures

MEASURES = alignment_measures(40, grid=[1.0, 2.0])


@pytest.fixture
def of_three_layers(task):
    """``of_three_layers(**settings)``: a monitor of layers of 12, 12 and 12, and a state."""
    model = MLP(6, (12, 12, 12), 1, rngs=nnx.Rngs(0))

    def build(**settings):
        settings = {"measures": MEASURES} | settings
        return task.monitor(model, **settings), nnx.state(model)

    return build


def solvers(program, platform, *arguments) -> set[str]:
    """The shapes that the eigensolvers and SVDs of a program for a platform return."""
    text = jax.export.export(jax.jit(program), platforms=[platform])(*arguments).mlir_module()
    # Φ has 13 columns, a quadrature of order 4 is of 5 × 5.
    return set(re.findall(r"-> \(tensor<([\dx]*(?:13x13|5x5))xf\d\d>", text))


@pytest.mark.slow
def test_in_the_step(of_three_layers):
    monitor, state = of_three_layers()
    assert solvers(monitor, "cuda", state) == {"3x13x13"}
    assert solvers(monitor, "cpu", state) == {"13x13"}


@pytest.mark.slow
def test_by_quadrature(of_three_layers):
    measures = alignment_measures(40, grid=[1.0, 2.0], null=False)
    monitor, state = of_three_layers(measures=measures, method="quadrature", order=4)
    assert solvers(monitor, "cuda", state) == {"3x1x5x5"}


@pytest.mark.slow
def test_after_the_steps(of_three_layers):
    monitor, state = of_three_layers(defer=True)
    both = jax.tree.map(lambda *x: jnp.stack(x), *[monitor.sample(state)] * 2)
    assert solvers(jax.vmap(monitor.finish), "cuda", both) == {"2x3x13x13"}


def test_a_batch_is_as_one_by_one(rng):
    arrays = [rng.standard_normal((20, 5)).astype(np.float32) for _ in range(2)]
    targets = jnp.asarray(rng.standard_normal((20, 2)), jnp.float32)
    sums = [ja.moments(x, targets) for x in arrays]
    for function, members in (
        (lambda x: ja.spectrum(x, targets), list(map(jnp.asarray, arrays))),
        (lambda m: ja.spectrum(m, centered=True), sums),
    ):
        together = jax.jit(partial(alike._as_batch, function))(members)
        for one, member in zip(together, members, strict=True):
            alone = function(member)
            np.testing.assert_allclose(one.energy, alone.energy, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(one.singular_values, alone.singular_values, rtol=1e-5)
            assert one.rank == alone.rank


def test_a_quadrature_of_unit_rows_forms_no_matrix(rng):
    """It is that of Φ, also for rows of any size."""
    features = rng.standard_normal((30, 6)) * np.geomspace(1e-30, 1e25, 30)[:, None]
    x = jnp.asarray(features, jnp.float32)
    y = jnp.asarray(rng.standard_normal((30, 2)), jnp.float32)
    found = quadrature_of_unit_rows(x, y, 4)
    expected = ja.quadrature(ja.unit_rows(x), y, order=4, dtype="float32")
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert found.spectrum.dtype == expected.spectrum.dtype == "float32"
    program = str(jax.make_jaxpr(lambda x: quadrature_of_unit_rows(x, y, 4))(x))
    assert "f32[30,7]" not in program


@pytest.mark.slow
def test_a_monitor_by_quadrature_is_the_same_in_a_program(of_three_layers):
    measures = alignment_measures(40, grid=[1.0, 2.0], null=False)
    monitor, state = of_three_layers(measures=measures, method="quadrature", order=4)
    eager, compiled = monitor(state), jax.jit(monitor)(state)
    for one, other in zip(jax.tree.leaves(eager), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
