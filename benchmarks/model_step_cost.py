"""What share of a larger model's step is its measurement, on its own batches and on a fixed monitor
set?

    python benchmarks/model_step_cost.py resnet18
    python benchmarks/model_step_cost.py vit

ResNet-18 of full width, its stem and eight blocks, maps averaged; a ViT 192-6-3 of patches of 4,
its six blocks and last norm, the class token; images of 32 × 32 × 3, Adam. A step is that of
``fit``: its compiled chunk, without a monitor and with a ``batch_monitor`` that measures every step,
all in turn; medians over rounds, ratios within a round. Then the parts alone: the forward pass of a
monitored set, the measure on activations at hand, a row written to disk.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _in_turn import in_turn
from _results import save
from flax import nnx
from rich.console import Console
from rich.table import Table

import jaxalign as ja
from jaxalign.models import ViT, resnet18
from jaxalign.monitoring._record import MEASURES, Measure, Pooling
from jaxalign.training import classification
from jaxalign.training._chunk import Data, Recipe, of_one

CLASSES = 10
GOAL = 1.05


class Case(NamedTuple):
    """A model and how it is trained and measured."""

    build: Callable[[], Any]
    reduce: Pooling
    batch: int
    monitor: int
    steps: int  # of a chunk


CASES = {
    "resnet18": Case(lambda: resnet18(CLASSES, stem="cifar", rngs=nnx.Rngs(0)), "mean", 16, 128, 2),
    "vit": Case(
        lambda: ViT(192, 6, 3, CLASSES, image=32, patch=4, rngs=nnx.Rngs(0)), "cls", 32, 1000, 4
    ),
}


def encode(labels: jax.Array) -> jax.Array:
    return ja.encode_targets(labels, classes=range(CLASSES))


def images(count: int) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.standard_normal((count, 32, 32, 3)), jnp.float32)
    return inputs, jnp.asarray(rng.integers(0, CLASSES, count))


def trainer(case: Case, model: nnx.Module, monitor: ja.BatchMonitor | None) -> Callable[[], Any]:
    """A call is a chunk of ``fit``; it goes on from where the last one stopped, and returns
    records.
    """
    recipe = Recipe(nnx.graphdef(model), optax.adam(1e-3), classification, steps=10**6)
    data = Data(monitor, *images(256))
    chunk = jax.jit(of_one(recipe), donate_argnums=(0,))
    rows = np.random.default_rng(1).integers(0, 256, (case.steps, 1, case.batch))
    held = [jax.tree.map(jnp.copy, recipe.start(model))]

    def run() -> Any:
        held[0], (_, records) = jax.block_until_ready(chunk(held[0], rows, None, data))
        return records

    return run


def parts(case: Case, model: nnx.Module, n: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The forward pass of n samples, and each measure on its activations."""
    inputs, labels = images(n)
    tap, state, targets = ja.tap(model, model.post_activations), nnx.state(model), encode(labels)
    forward = jax.jit(lambda state, x: tap(state, x)[1])
    activations = forward(state, inputs)
    yield "forward", lambda: jax.block_until_ready(forward(state, inputs))
    for measure in MEASURES:
        watch = ja.batch_monitor(tap, encode, n, measure=measure, reduce=case.reduce)
        solve = jax.jit(
            lambda values, watch=watch: watch.finish(watch.reading.sample(values, targets))
        )
        yield measure, lambda solve=solve: jax.block_until_ready(solve(activations))


def written(records: Any, steps: int) -> float:
    """Seconds a row of a chunk's records takes to get from the device to the disk."""
    grid, thresholds = np.linspace(0, 1, 64, dtype=np.float32), np.ones(5, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        writer, times = ja.RunWriter(folder, {}), []
        for chunk in range(20):
            begin = time.perf_counter()
            step = np.arange(chunk * steps, (chunk + 1) * steps, dtype=np.int32)
            layers = jax.device_get(records)
            loss = np.zeros(steps, np.float32)
            writer.write(
                ja.History(
                    step, step, loss, {"accuracy": loss}, layers, thresholds, grid, float(steps)
                )
            )
            times.append(time.perf_counter() - begin)
    return float(np.median(times)) / steps


def found(
    case: Case, model: nnx.Module, tap: ja.Tap, rounds: int
) -> tuple[dict[str, list[float]], dict[str, dict]]:
    """Seconds of the parts, and what each way to measure adds to a step; [on the clock, of
    processors] each.
    """
    monitors: dict[Measure | None, ja.BatchMonitor | None] = {None: None}
    monitors |= {
        m: ja.batch_monitor(tap, encode, case.batch, measure=m, reduce=case.reduce)
        for m in MEASURES
    }
    trainers = {
        name or "plain": trainer(case, model, monitor) for name, monitor in monitors.items()
    }
    steps = {name: t / case.steps for name, t in in_turn(trainers, rounds).items()}
    row = written(trainers["exact"](), case.steps)
    on_batch, on_monitor = (
        {
            name: np.median(t, axis=0)
            for name, t in in_turn(dict(parts(case, model, n)), rounds).items()
        }
        for n in (case.batch, case.monitor)
    )
    step = np.median(steps["plain"], axis=0)
    rows = {}
    for measure in MEASURES:
        ratios, once = (
            steps[measure] / steps["plain"],
            on_monitor["forward"] + on_monitor[measure] + row,
        )
        rows[measure] = {
            "ratio": np.median(ratios, axis=0).tolist(),
            "ratio_quartiles": np.quantile(ratios, (0.25, 0.75), axis=0).T.tolist(),
            "measure_batch": on_batch[measure].tolist(),
            "measure_monitor": on_monitor[measure].tolist(),
            "ratio_of_parts": (1 + (on_batch[measure] + row) / step).tolist(),
            "monitor_every_step": (1 + once / step).tolist(),
            "every_for_goal": np.ceil(once / (GOAL - 1) / step).astype(int).tolist(),
        }
    seconds = {
        "step": step,
        "forward_batch": on_batch["forward"],
        "forward_monitor": on_monitor["forward"],
    }
    return {name: t.tolist() for name, t in seconds.items()} | {"row": [row, row]}, rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=CASES)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    case = CASES[arguments.model]
    model = case.build()
    tap = ja.tap(model, model.post_activations)
    seconds, rows = found(case, model, tap, arguments.rounds)
    _, shapes = jax.eval_shape(tap, nnx.state(model), images(1)[0])
    layers = {name: " × ".join(map(str, a.shape[1:])) for name, a in shapes.items()}
    console = Console(width=120)
    console.print(
        f"{arguments.model}, {len(layers)} layers, batch {case.batch}, monitored set {case.monitor}; ms on the clock:"
    )
    console.print(", ".join(f"{name} {1e3 * clock:.2f}" for name, (clock, _) in seconds.items()))
    table = Table(
        "measure",
        "step with / without",
        "by processor time",
        "by parts",
        "batch, ms",
        "monitored set, ms",
        box=None,
    )
    table.add_column(f"monitored set: {GOAL - 1:.0%} at every")
    for measure, row in rows.items():
        (clock, processors), ((low, high), _) = row["ratio"], row["ratio_quartiles"]
        table.add_row(
            measure,
            f"{clock:.3f} ({low:.3f} ... {high:.3f})",
            f"{processors:.3f}",
            f"{row['ratio_of_parts'][0]:.3f}",
            f"{1e3 * row['measure_batch'][0]:.2f}",
            f"{1e3 * row['measure_monitor'][0]:.2f}",
            f"{row['every_for_goal'][0]} steps",
        )
    console.print(table)
    settings = {
        "batch": case.batch,
        "monitor": case.monitor,
        "reduce": case.reduce,
        "layers": layers,
        "rounds": arguments.rounds,
    }
    content = {"model": arguments.model, **settings, "seconds": seconds, "measures": rows}
    console.print(save(f"step-cost-{arguments.model}", content))


if __name__ == "__main__":
    main()
