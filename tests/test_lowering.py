"""Every operation lowers for accelerators that are not here: CUDA, ROCm and TPU.

What cannot be is refused by name. No program calls what only a CPU has, or the host; for a TPU no
product, decomposition or loop has float64 operands.
"""

import sys
import warnings
from itertools import chain
from pathlib import Path

import jax
import pytest
from jax.export import export
from jax.extend.mlir import ir
from jax.interpreters import mlir

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from _lowering_cases import REFUSED_BY_TPU, Case, array_cases
from _lowering_training import training_cases
from _stablehlo import CPU_CALLS, is_callback, needs_of

FAST = {"spectrum[auto]", "quadrature_bounds[None]", "quadrature[float64]"}
# Their loops carry finished moments in float64, and keep or add them, and compute nothing else.
CARRIES_FLOAT64 = ("bootstrap_curves", "fit chunk MLP, batch monitor[deferred]", "MLP[deferred]")
CARRIES_FLOAT64 += ("two MLPs[deferred]", "CNN[deferred]")
MESH = jax.sharding.Mesh(jax.devices()[:1], ("data",))
CASES = [
    pytest.param(case, id=case.name, marks=() if case.name in FAST else pytest.mark.slow)
    for case in chain(array_cases(MESH), training_cases(MESH))
]


def lowered(case: Case, platform: str) -> tuple[list[str], dict[str, int]]:
    with warnings.catch_warnings():
        # A chunk of fit donates its state, of which not every array finds a use.
        warnings.filterwarnings("ignore", "Some donated buffers were not usable")
        exported = export(jax.jit(case.function), platforms=(platform,))(*case.arguments)
    with mlir.make_ir_context():
        needs = needs_of(ir.Module.parse(exported.mlir_module()))
    return needs.calls, needs.float64


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
@pytest.mark.parametrize("case", CASES)
def test_it_lowers_or_is_refused_by_name(case: Case, platform: str):
    if platform == "tpu" and case.name in REFUSED_BY_TPU:
        with pytest.raises(ValueError, match=r"must be .float32. on a TPU"):
            lowered(case, platform)
        return
    calls, float64 = lowered(case, platform)
    assert [call for call in calls if call.startswith(CPU_CALLS) or is_callback(call)] == []
    if platform == "tpu":
        is_carried = any(word in case.name for word in CARRIES_FLOAT64)
        assert float64 == ({"while": 1} if is_carried else {})
