"""Does ``fit`` train a convolutional network as fast as a loop of one's own, alone and several at
once?

    python benchmarks/convolutions.py

A small CNN and a small ResNet on images of 28 × 28, Adam, batches of 64, no monitor. A jitted step
called from a Python loop, the same step in a ``lax.scan``, and the chunk of ``fit``, in turn.
Several models: one after another in the loop, vmapped in scan and chunk. Medians over rounds,
ratios within a round, and how far losses are from those of the loop.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable
from typing import Any

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
from jaxalign.models import CNN, ResNet
from jaxalign.models._resnet import BasicBlock
from jaxalign.training import classification
from jaxalign.training._chunk import Data, Recipe, of_one, of_several

STEPS, BATCH, IMAGES = 4, 64, 256
NETWORKS: dict[str, Callable[[int], nnx.Module]] = {
    "CNN 8-16": lambda seed: CNN((28, 28, 1), (8, 16), 64, 1, rngs=nnx.Rngs(seed)),
    "ResNet-10, width 8": lambda seed: ResNet(
        BasicBlock, (1, 1, 1, 1), 1, channels=1, stem="cifar", width=8, rngs=nnx.Rngs(seed)
    ),
}


def ways(build: Callable[[int], nnx.Module], models: int) -> dict[str, Callable[[], np.ndarray]]:
    """Each trains from the start and returns its losses, (steps, models)."""
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.standard_normal((IMAGES, 28, 28, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, IMAGES))
    rows = jnp.asarray(rng.integers(0, IMAGES, (STEPS, BATCH)))
    networks = [build(seed) for seed in range(models)]
    graph, optimizer = nnx.graphdef(networks[0]), optax.adam(1e-3)

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

    one, recipe = jax.jit(step), Recipe(graph, optimizer, classification, steps=10**6)
    each = [recipe.start(network) for network in networks]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    def loop() -> Any:
        losses = np.empty((STEPS, models))
        for i, state in enumerate(each):
            for t, row in enumerate(rows):
                state, losses[t, i] = one(state, row)
        return losses

    scan = jax.jit(jax.vmap(lambda state: jax.lax.scan(step, state, rows)[1]))
    chunk = jax.jit(
        of_several(recipe, same_batches=True, hyperparameters=False)
        if models > 1
        else of_one(recipe)
    )
    state, data = stacked if models > 1 else each[0], Data(None, inputs, labels)
    return {
        "own loop": loop,
        "scan": lambda: np.asarray(scan(stacked)).T,
        "fit": lambda: np.asarray(chunk(state, rows[:, None], None, data)[1][0].loss).reshape(
            STEPS, models
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    table = Table(
        "network",
        "models",
        "way",
        "ms a step",
        "times the loop",
        "losses differ by",
        box=None,
        header_style="bold",
    )
    results = []
    for network, build in NETWORKS.items():
        for models in (1, 4):
            held = ways(build, models)
            losses = {name: run() for name, run in held.items()}
            seconds = {name: t[:, 0] / STEPS for name, t in in_turn(held, arguments.rounds).items()}
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
    console.print(
        save(
            "convolutions",
            {"rounds": arguments.rounds, "steps": STEPS, "batch": BATCH, "rows": results},
        )
    )


if __name__ == "__main__":
    main()
