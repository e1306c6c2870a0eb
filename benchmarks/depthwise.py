"""How much faster than XLA's depthwise convolution is a sum of shifted images, on this device?

    python benchmarks/depthwise.py

The shapes are those of EfficientNet-Lite0's blocks at 224 pixels. Both ways run in turn. The table
has medians over rounds, of the forward pass and of the gradients by images and kernel, and ratios
within a round. The last row is the forward pass of all of Lite0.
"""

import argparse
from collections.abc import Callable
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from _in_turn import in_turn
from _results import save
from flax import nnx
from rich.console import Console
from rich.table import Table

from jaxalign.models import _depthwise, efficientnet_lite

# Side of the images, channels, side of the kernel, stride.
SHAPES = (
    (112, 32, 3, 1),
    (112, 96, 3, 2),
    (56, 144, 5, 2),
    (28, 240, 5, 1),
    (28, 240, 3, 2),
    (14, 672, 5, 1),
    (7, 1152, 3, 1),
)
WAYS = {"xla": _depthwise.xla_convolution, "shifted": _depthwise.shifted_sum}

Program = Callable[[], object]


def convolutions(
    batch: int, side: int, channels: int, size: int, stride: int
) -> dict[str, dict[str, Program]]:
    """{forward, gradient: {way: program}}."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.standard_normal((batch, side, side, channels)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((size, size, 1, channels)), jnp.float32)

    def program(convolve: Callable, differentiate: bool) -> Program:
        forward = partial(convolve, stride=stride, padding="SAME")

        def loss(images, kernel):
            return (forward(images, kernel) ** 2).sum()

        run = jax.jit(jax.grad(loss, (0, 1)) if differentiate else forward)
        return lambda: run(images, kernel)

    kinds = {"forward": False, "gradient": True}
    return {
        kind: {name: program(way, differentiate) for name, way in WAYS.items()}
        for kind, differentiate in kinds.items()
    }


def network(batch: int) -> dict[str, Program]:
    """The forward pass of EfficientNet-Lite0, by way."""
    model = efficientnet_lite(0, rngs=nnx.Rngs(0))
    model.eval()
    graph, state = nnx.split(model)
    images = jnp.asarray(
        np.random.default_rng(0).standard_normal((batch, 224, 224, 3)), jnp.float32
    )
    programs = {}
    for name, way in WAYS.items():
        # Compiled while the model calls this way, under a function of its own: jit would find the
        # first program again.
        forward = jax.jit(lambda state, images: nnx.merge(graph, state)(images))
        with mock.patch.object(_depthwise, "depthwise_convolution", partial(way, padding="SAME")):
            run = forward.lower(state, images).compile()
        programs[name] = partial(run, state, images)
    return programs


def race(programs: dict[str, Program], rounds: int) -> dict[str, float]:
    """Median milliseconds of each way, and the median ratio within a round."""
    times = {name: 1e3 * t[:, 0] for name, t in in_turn(programs, rounds).items()}
    medians = {f"{name}_milliseconds": float(np.median(t)) for name, t in times.items()}
    return {**medians, "times_as_fast": float(np.median(times["xla"] / times["shifted"]))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    rows = []
    for shape in SHAPES:
        side, channels, size, stride = shape
        name = f"{side}×{side}×{channels}, {size}×{size}, stride {stride}"
        for kind, programs in convolutions(arguments.batch, *shape).items():
            rows.append({"what": name, "pass": kind, **race(programs, arguments.rounds)})
    whole = race(network(arguments.batch), arguments.rounds)
    rows.append({"what": "EfficientNet-Lite0", "pass": "forward", **whole})

    headings = ("pass", "XLA, ms", "shifted sum, ms", "times as fast")
    table = Table(f"batch of {arguments.batch}", *headings, box=None, header_style="bold")
    for row in rows:
        numbers = (row["xla_milliseconds"], row["shifted_milliseconds"], row["times_as_fast"])
        table.add_row(row["what"], row["pass"], *(f"{number:.1f}" for number in numbers))
    console = Console(width=100)
    console.print(table)
    console.print(save("depthwise", {**vars(arguments), "rows": rows}))


if __name__ == "__main__":
    main()
