"""Does ``fit`` train convolutional networks as fast as a hand-written loop, one or several at once?

    python benchmarks/convolutions.py

A small CNN and a small ResNet on images of 28 × 28, Adam, batches of 64, no monitor. Three ways
run in turn: a jitted step called from a Python loop, the same step in a ``lax.scan``, and the chunk
of ``fit``. Several models run one after another in the loop, and vmapped in scan and chunk. The
table has medians over rounds, ratios within a round, and the difference of losses from the loop's.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable

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
from jaxalign.models import CNN, BasicBlock, ResNet
from jaxalign.training import classification
from jaxalign.training._chunk import of_one, of_several
from jaxalign.training._state import Data, PerModel, Recipe

STEPS = 4
BATCH = 64
IMAGES = 256
NETWORKS: dict[str, Callable[[int], nnx.Module]] = {
    "CNN 8-16": lambda seed: CNN((28, 28, 1), (8, 16), 64, 1, rngs=nnx.Rngs(seed)),
    "ResNet-10, width 8": lambda seed: ResNet(
        BasicBlock, (1, 1, 1, 1), 1, channels=1, stem="cifar", width=8, rngs=nnx.Rngs(seed)
    ),
}


def ways(build: Callable[[int], nnx.Module], models: int) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to train from the start; each returns its losses, (steps, models)."""
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.standard_normal((IMAGES, 28, 28, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, IMAGES))
    rows = jnp.asarray(rng.integers(0, IMAGES, (STEPS, BATCH)))
    networks = [build(seed) for seed in range(models)]
    graph = nnx.graphdef(networks[0])
    optimizer = optax.adam(1e-3)

    def loss_of(parameters, rest, batch, answers):
        network = nnx.merge(graph, parameters, rest, copy=True)
        return classification(network(batch), answers)[0], nnx.state(network, nnx.Not(nnx.Param))

    def step(state, row):
        parameters, rest = nnx.split_state(state.model, nnx.Param, ...)
        (loss, rest), gradient = jax.value_and_grad(loss_of, has_aux=True)(
            parameters, rest, inputs[row], labels[row]
        )
        updates, moments = optimizer.update(gradient, state.optimizer, parameters)
        model = nnx.merge_state(optax.apply_updates(parameters, updates), rest)
        return ja.TrainState(state.step + 1, model, moments), loss

    recipe = Recipe(split_model(networks[0], None).network, optimizer, classification)
    starts = [recipe.start(nnx.state(network)) for network in networks]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    jitted_step = jax.jit(step)

    def loop() -> np.ndarray:
        losses = np.empty((STEPS, models))
        for i, state in enumerate(starts):
            for t, row in enumerate(rows):
                state, losses[t, i] = jitted_step(state, row)
        return losses

    scan = jax.jit(jax.vmap(lambda state: jax.lax.scan(step, state, rows)[1]))
    if models > 1:
        chunk = jax.jit(of_several(recipe, same_batches=True, hyperparameters=False))
        start = stacked
        own = PerModel(None, {}, np.zeros(models, np.uint32))
    else:
        chunk = jax.jit(of_one(recipe))
        start = starts[0]
        own = PerModel(None, {})
    data = Data({}, inputs, labels, steps=10**6)

    def fit() -> np.ndarray:
        _, (logged, _) = chunk(start, rows[:, None], own, data)
        return np.asarray(logged.loss).reshape(STEPS, models)

    return {"own loop": loop, "scan": lambda: np.asarray(scan(stacked)).T, "fit": fit}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    headings = ("network", "models", "way", "ms per step", "times the loop", "losses differ by")
    table = Table(*headings, box=None, header_style="bold")
    results = []
    for network, build in NETWORKS.items():
        for models in (1, 4):
            programs = ways(build, models)
            losses = {name: run() for name, run in programs.items()}
            times = in_turn(programs, arguments.rounds)
            seconds = {name: t[:, 0] / STEPS for name, t in times.items()}
            for name, t in seconds.items():
                row = {
                    "network": network,
                    "models": models,
                    "way": name,
                    "milliseconds": 1e3 * float(np.median(t)),
                    "over_own_loop": float(np.median(t / seconds["own loop"])),
                    "loss_difference": float(np.abs(losses[name] / losses["own loop"] - 1).max()),
                }
                results.append(row)
                numbers = (
                    f"{row['milliseconds']:.1f}",
                    f"{row['over_own_loop']:.2f}",
                    f"{row['loss_difference']:.1e}",
                )
                table.add_row(network, str(models), name, *numbers)
    console = Console(width=100)
    console.print(table)
    content = {"rounds": arguments.rounds, "steps": STEPS, "batch": BATCH, "rows": results}
    console.print(save("convolutions", content))


if __name__ == "__main__":
    main()
