"""What the operations of a StableHLO module need of a device."""

from collections import Counter
from typing import NamedTuple

from jax.extend.mlir import ir

CPU_CALLS = ("lapack_", "cpu_")  # how the targets begin of the custom calls that only a CPU has
TRANSFERS = ("stablehlo.send", "stablehlo.recv")
FLOAT64_OPERATIONS = {
    "stablehlo.dot_general": "dot",
    "stablehlo.while": "while",
    "stablehlo.cholesky": "cholesky",
    "stablehlo.triangular_solve": "solve",
    # The compiler of a TPU refuses these two.
    "stablehlo.bitcast_convert": "bitcast",
    "stablehlo.reduce_precision": "rounding",
}
FLOAT64_CALLS = {"Eigh": "eigh", "Qr": "qr", "ProductOfElementaryHouseholderReflectors": "qr"}


class Needs(NamedTuple):
    """What a module asks of the device.

    Attributes:
      calls: the targets of its custom calls, and its transfers to and from the host, sorted.
      float64: how many products, decompositions and loops of each kind take float64 operands, and
        what a TPU cannot do with them. Sums and casts of single numbers do not count: it does them
        well enough.
    """

    calls: list[str]
    float64: dict[str, int]


def needs_of(module: ir.Module) -> Needs:
    """Walk all operations of a module."""
    calls = set()
    float64: Counter[str] = Counter()

    def visit(operation: ir.Operation) -> ir.WalkResult:
        target = call_target(operation)
        if target is not None:
            calls.add(target)
        kind = FLOAT64_OPERATIONS.get(operation.name) or FLOAT64_CALLS.get(target)
        if kind is not None and has_float64(operation):
            float64[kind] += 1
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return Needs(sorted(calls), dict(float64))


def is_callback(target: str) -> bool:
    """Whether a call leaves the device."""
    return "callback" in target or target in TRANSFERS


def call_target(operation: ir.Operation) -> str | None:
    """The target of a custom call, or the name of a transfer to the host; otherwise None."""
    if operation.name == "stablehlo.custom_call":
        return ir.StringAttr(operation.attributes["call_target_name"]).value
    if operation.name in TRANSFERS:
        return operation.name
    return None


def has_float64(operation: ir.Operation) -> bool:
    types = [operand.type for operand in operation.operands]
    return any(str(getattr(type, "element_type", "")) == "f64" for type in types)
