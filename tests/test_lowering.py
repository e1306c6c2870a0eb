"""Every operation lowers for accelerators that are not here: CUDA, ROCm and TPU.

What cannot be is refused by name. No program calls what only a CPU has, or the host; for a TPU no
product, decomposition or loop has float64 operands.
"""

import sys
import warnings
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.export import export
from jax.extend.mlir import ir
from jax.interpreters import mlir

import jaxalign as ja

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from _lowering_cases import REFUSED_BY_TPU, Case, array_cases
from _lowering_training import fit_chunk_cases, monitor_cases
from _stablehlo import CPU_CALLS, is_callback, needs_of

FAST = {"spectrum[auto]", "quadrature_bounds[None]", "quadrature[float64]"}
MESH = jax.sharding.Mesh(jax.devices()[:1], ("data",))
CASES = [
    pytest.param(case, id=case.name, marks=() if case.name in FAST else pytest.mark.slow)
    for case in array_cases(MESH)
]


def lowered(program, case: Case, *platforms: str) -> tuple[list[str], dict[str, int]]:
    """What the program calls, and how many of its operations have float64 operands."""
    with warnings.catch_warnings():
        # A chunk of fit donates its state, of which not every array finds a use.
        warnings.filterwarnings("ignore", "Some donated buffers were not usable")
        exported = export(program, platforms=platforms)(*case.arguments)
    with mlir.make_ir_context():
        needs = needs_of(ir.Module.parse(exported.mlir_module()))
    return needs.calls, needs.float64


def lowers_or_is_refused_by_name(case: Case) -> None:
    program = jax.jit(case.function)
    # One program for both: where they differ it has both branches.
    calls, _ = lowered(program, case, "cuda", "rocm")
    assert calls_of_others(calls) == [], case.name
    if case.name in REFUSED_BY_TPU:
        with pytest.raises(ValueError, match=r"must be .float32. on a TPU"):
            lowered(program, case, "tpu")
        return
    calls, float64 = lowered(program, case, "tpu")
    assert calls_of_others(calls) == [], case.name
    assert float64 == {}, case.name


def calls_of_others(calls: list[str]) -> list[str]:
    """Those that a CPU or the host would have to answer."""
    return [call for call in calls if call.startswith(CPU_CALLS) or is_callback(call)]


@pytest.mark.parametrize("case", CASES)
def test_operations_of_arrays(case: Case):
    lowers_or_is_refused_by_name(case)


def bounds(x, y):
    return ja.quadrature_bounds(ja.quadrature(x, y, order=2), [0.5])


def of_triangle(x, y):
    return ja.spectrum(ja.triangle(x, y))


@pytest.mark.parametrize(
    "function",
    [
        of_triangle,
        pytest.param(bounds, marks=pytest.mark.slow),
        pytest.param(partial(ja.spectrum, method="svd"), marks=pytest.mark.slow),
    ],
)
def test_x64_puts_no_float64_into_a_program_of_float32(function):
    """Jax traces an SVD again where it is lowered for a TPU."""
    shapes = [jax.ShapeDtypeStruct((12, k), np.float32) for k in (4, 1)]
    with jax.enable_x64(True):
        _, float64 = lowered(jax.jit(function), Case("", function, shapes), "tpu")
    assert float64 == {}


def test_a_tpu_refuses_a_triangle_of_float64():
    with jax.enable_x64(True):
        shapes = [jax.ShapeDtypeStruct((12, k), np.float64) for k in (4, 1)]
        with pytest.raises(ValueError, match=r"must be float32 on a TPU"):
            lowered(jax.jit(ja.triangle), Case("", ja.triangle, shapes), "tpu")


# Their models are built when the test runs, not when it is collected.
@pytest.mark.slow
@pytest.mark.parametrize(
    "cases", [monitor_cases, partial(fit_chunk_cases, MESH)], ids=["monitor", "fit"]
)
def test_training(cases):
    for case in cases():
        lowers_or_is_refused_by_name(case)
