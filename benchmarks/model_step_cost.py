"""What share of a larger model's step is its measurement, on training batches and on a fixed set?

    python benchmarks/model_step_cost.py resnet18
    python benchmarks/model_step_cost.py vit

The models are ResNet-18 of full width (stem and eight blocks, maps averaged) and a ViT 192-6-3 with
patches of 4 (six blocks and the last norm, class token), on images of 32 × 32 × 3, with Adam. A
step is that of ``fit``: its compiled chunk, without a monitor and with a ``batch_monitor`` that
measures every step. All run in turn; the table has medians over rounds and ratios within a round.
Then come the parts alone: the forward pass of a monitored set, the measures of given activations, a
row written to disk.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from collections import OrderedDict
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
from jaxalign.capture._networks import split_model
from jaxalign.models import ViT, resnet18
from jaxalign.monitoring import alignment_measures
from jaxalign.training import classification
from jaxalign.training._chunk import of_one
from jaxalign.training._state import Data, PerModel, Recipe

CLASSES = 10
GOAL = 1.05
"""A step with measurement over one without."""

WAYS: dict[str, dict[str, Any]] = {
    "exact": {},
    "exact, without the null": {"null": False},
    "quadrature": {"method": "quadrature", "null": False},
    "deferred": {"defer": True},
    "deferred, without the null": {"defer": True, "null": False},
}
"""Settings of a monitor; ``null`` is whether the permutation null is measured too."""


class Case(NamedTuple):
    """A model and how it is trained and measured.

    Attributes:
      build: the model.
      reduce: how positions are pooled.
      batch: rows of a training batch.
      monitor: rows of the fixed set.
      steps: in one chunk.
    """

    build: Callable[[], Any]
    reduce: str
    batch: int
    monitor: int
    steps: int


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


def batch_monitor(
    tap: ja.Tap, n: int, reduce: str, *, null: bool = True, **settings: Any
) -> ja.BatchMonitor:
    measures = alignment_measures(n, null=null)
    return ja.batch_monitor(tap, encode, n, measures=measures, reduce=reduce, **settings)


def trainer(case: Case, model: nnx.Module, monitor: ja.BatchMonitor | None) -> Callable[[], Any]:
    """A chunk of ``fit``: each call resumes where the last one stopped; returns what is logged."""
    recipe = Recipe(split_model(model, None).network, optax.adam(1e-3), classification)
    data = Data({} if monitor is None else {"batch": monitor}, *images(256), 10**6)
    chunk = jax.jit(of_one(recipe), donate_argnums=(0,))
    rows = np.random.default_rng(1).integers(0, 256, (case.steps, 1, case.batch))
    own = PerModel(None, {})
    # A copy, since chunks donate their state.
    state = jax.tree.map(jnp.copy, recipe.start(nnx.state(model)))

    def run() -> Any:
        nonlocal state
        state, (_, logged) = jax.block_until_ready(chunk(state, rows, own, data))
        return logged

    return run


def parts(case: Case, model: nnx.Module, n: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The forward pass of n samples, and the measures of its activations in each way."""
    inputs, labels = images(n)
    targets = encode(labels)
    tap = ja.tap(model, model.post_activations)
    state = nnx.state(model)
    forward = jax.jit(lambda state, x: tap(state, x)[1])
    activations = forward(state, inputs)
    yield "forward", lambda: jax.block_until_ready(forward(state, inputs))
    for way, settings in WAYS.items():
        measurement = batch_monitor(tap, n, case.reduce, **settings).measurement
        solve = jax.jit(lambda values, m=measurement: m.finish(m.take(values, targets)))
        yield way, lambda solve=solve: jax.block_until_ready(solve(activations))


def written(logged: OrderedDict[str, Any], coordinates: dict[str, Any], steps: int) -> float:
    """Seconds per row to bring the measures of a chunk from the device to the disk."""
    with tempfile.TemporaryDirectory() as folder:
        writer = ja.RunWriter(folder, {})
        times = []
        for chunk in range(20):
            begin = time.perf_counter()
            step = np.arange(chunk * steps, (chunk + 1) * steps, dtype=np.int32)
            loss = np.zeros(steps, np.float32)
            history = ja.History(
                step,
                step,
                loss,
                metrics={"accuracy": loss},
                layers=jax.device_get(logged),
                coordinates=dict.fromkeys(logged, coordinates),
                totals=dict.fromkeys(logged, float(steps)),
            )
            writer.write(history)
            times.append(time.perf_counter() - begin)
    return float(np.median(times)) / steps


def measured(
    case: Case, model: nnx.Module, tap: ja.Tap, rounds: int
) -> tuple[dict[str, list[float]], dict[str, dict]]:
    """Seconds of the parts, and the share that each way to measure adds to a step.

    Every number is a pair: on the clock, and processor time.
    """
    monitors = {
        way: batch_monitor(tap, case.batch, case.reduce, **settings)
        for way, settings in WAYS.items()
    }
    trainers = {way: trainer(case, model, monitor) for way, monitor in monitors.items()}
    trainers["plain"] = trainer(case, model, None)
    steps = {way: t / case.steps for way, t in in_turn(trainers, rounds).items()}
    row = written(trainers["exact"]()["batch"], monitors["exact"].coordinates, case.steps)

    def medians(n: int) -> dict[str, np.ndarray]:
        times = in_turn(dict(parts(case, model, n)), rounds)
        return {name: np.median(t, axis=0) for name, t in times.items()}

    on_batch = medians(case.batch)
    on_monitor = medians(case.monitor)
    step = np.median(steps["plain"], axis=0)
    rows = {}
    for way in WAYS:
        ratios = steps[way] / steps["plain"]
        # A monitored set needs a forward pass of its own.
        once = on_monitor["forward"] + on_monitor[way] + row
        rows[way] = {
            "ratio": np.median(ratios, axis=0).tolist(),
            "ratio_quartiles": np.quantile(ratios, (0.25, 0.75), axis=0).T.tolist(),
            "measure_batch": on_batch[way].tolist(),
            "measure_monitor": on_monitor[way].tolist(),
            "ratio_of_parts": (1 + (on_batch[way] + row) / step).tolist(),
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
    seconds, rows = measured(case, model, tap, arguments.rounds)
    _, shapes = jax.eval_shape(tap, nnx.state(model), images(1)[0])
    layers = {name: " × ".join(map(str, a.shape[1:])) for name, a in shapes.items()}
    console = Console(width=120)
    console.print(
        f"{arguments.model}, {len(layers)} layers, batch {case.batch}, "
        f"monitored set {case.monitor}; ms on the clock:"
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
    for way, row in rows.items():
        clock, processors = row["ratio"]
        (low, high), _ = row["ratio_quartiles"]
        table.add_row(
            way,
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
