"""What does measuring every layer at every step cost, and how much of it is the measure itself?

    python benchmarks/step_cost.py

An MLP 64-128-128-128-128-1 with batches of 64 and Adam; a monitor measures the whole curve of all
four hidden layers on 1000 samples. Each way is one jitted scan of 64 steps. All run in turn; the
table has medians over rounds and ratios within a round. The last line is the recipe of `jaxalign
train` by `fit`, with its rows fetched, from the first chunk to the last.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
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
from jaxalign.data import fashion_mnist
from jaxalign.models import MLP
from jaxalign.monitoring import alignment_measures
from jaxalign.monitoring import curve as curve_measure

STEPS = 64
MONITORED = 1000
BATCH = 64
GRID = jnp.linspace(0, MONITORED**0.5, 64)

WAYS: dict[str, tuple[dict[str, Any] | None, int]] = {
    "plain": (None, 1),
    "exact": ({}, 1),
    "exact, without the null": ({"null": False}, 1),
    "every 8th, exact, without the null": ({"null": False}, 8),
    "quadrature": ({"method": "quadrature", "null": False}, 1),
    "deferred": ({"defer": True}, 1),
    "deferred, without the null": ({"defer": True, "null": False}, 1),
}
"""Settings of a monitor, and of how many steps it measures one. ``null`` is whether the permutation
null is measured too; without settings there is no monitor."""


def curve_of_svd(phi: jax.Array, y: jax.Array) -> jax.Array:
    left, sigma, _ = jnp.linalg.svd(phi, full_matrices=False)
    energy = jnp.matmul(left.T, y, precision="highest") ** 2
    return jnp.where(sigma[:, None] >= GRID, energy, 0).sum()


def curve(spectrum: ja.Spectrum) -> jax.Array:
    return ja.alignment_curve(spectrum, GRID).sum()


def curve_of(solve: Callable) -> Callable:
    return lambda phi, y: curve(solve(phi, y))


MEASURES = {
    "monitor forward": lambda phi, y: phi.sum(),
    "+ moments": lambda phi, y: ja.moments(phi, y).weight,
    "+ quadrature (8), float32": curve_of(
        lambda phi, y: ja.quadrature(phi, y, order=8, dtype="float32").spectrum
    ),
    "+ quadrature (16), float32": curve_of(
        lambda phi, y: ja.quadrature(phi, y, order=16, dtype="float32").spectrum
    ),
    "+ quadrature (16)": curve_of(lambda phi, y: ja.quadrature(phi, y, order=16).spectrum),
    "+ moments, spectra after the scan": ja.moments,
    "+ spectrum": curve_of(ja.spectrum),
    "+ jnp svd": curve_of_svd,
}


MONITORS: dict[str, dict[str, Any]] = {
    "+ monitor by quadrature (16)": {"method": "quadrature"},
    "+ monitor, exact": {},
}
"""Settings of a monitor of the curve, which does not form Φ for a quadrature."""


def ways() -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((MONITORED, 64)), jnp.float32)
    y = ja.encode_targets(np.asarray(x[:, 0] * x[:, 1] > 0))
    rows = jnp.asarray(rng.integers(0, MONITORED, (STEPS, BATCH)))
    model = MLP(64, (128,) * 4, 1, rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)
    tap = ja.tap(model, "hidden_*")
    adam = optax.adam(1e-3)

    def loss_of(state, batch, goal):
        return optax.sigmoid_binary_cross_entropy(
            nnx.merge(graph, state)(batch), (goal + 1) / 2
        ).mean()

    def program(measure: Callable | None, monitor: Any = None) -> Callable[[], object]:
        def step(carry, row):
            state, optimizer = carry
            measured = ()
            if measure is not None:
                measured = tuple(measure(ja.prepare(a), y) for a in tap(state, x)[1].values())
            if monitor is not None:
                measured = monitor(state)
            loss, gradient = jax.value_and_grad(loss_of)(state, x[row], y[row])
            updates, optimizer = adam.update(gradient, optimizer, state)
            return (optax.apply_updates(state, updates), optimizer), (loss, measured)

        @jax.jit
        def run(carry):
            carry, (losses, measured) = jax.lax.scan(step, carry, rows)
            if measure is ja.moments:
                measured = [jax.vmap(lambda m: curve(ja.spectrum(m)))(layer) for layer in measured]
            return carry, losses, measured

        return lambda: run((state, adam.init(state)))

    def monitor_of(**settings: Any) -> Any:
        return ja.monitor(tap, x, y, measures={"curve": curve_measure(GRID)}, **settings)

    return {
        "train step": program(None),
        **{name: program(measure) for name, measure in MEASURES.items()},
        **{name: program(None, monitor_of(**settings)) for name, settings in MONITORS.items()},
    }


def recipe(settings: dict[str, Any] | None, every: int, steps: int = 511, chunk: int = 64) -> float:
    """Milliseconds per step of ``fit``, from the first chunk on the host to the last but one."""
    images = fashion_mnist(classes=(2, 4)).train
    model = MLP(784, (128, 128, 128), 1, rngs=nnx.Rngs(0))
    targets = ja.encode_targets(images.labels)
    monitor = None
    if settings is not None:
        measures = alignment_measures(len(images), null=settings.get("null", True))
        others = {name: value for name, value in settings.items() if name != "null"}
        tap = ja.tap(model, "hidden_*")
        monitor = ja.monitor(tap, images.inputs, targets, measures=measures, **others)
    times: list[float] = []

    def callback(part: ja.History) -> None:
        times.append(time.perf_counter())

    ja.fit(
        model,
        optax.adam(1e-3),
        images.inputs,
        images.labels,
        steps=steps,
        monitor=monitor,
        every=every,
        chunk=chunk,
        callback=callback,
    )
    # The host is one chunk behind: the last two arrivals belong to one wait.
    return 1e3 * (times[-2] - times[0]) / (chunk * (len(times) - 2))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    seconds = {name: t[:, 0] / STEPS for name, t in in_turn(ways(), arguments.rounds).items()}
    base = seconds["monitor forward"]
    layers = {name: (t - base) / 4 for name, t in seconds.items()}
    rows: dict[str, dict[str, float | None]] = {}
    for name, t in seconds.items():
        faster = None
        if name.startswith("+"):
            faster = float(np.median(layers["+ jnp svd"] / layers[name]))
        rows[name] = {
            "milliseconds": 1e3 * float(np.median(t)),
            "over_step_and_forward": float(np.median(t / base)),
            "faster_than_svd": faster,
        }
    rounds = range(arguments.rounds // 2 + 1)
    fits = [[recipe(*way) for way in WAYS.values()] for _ in rounds]
    recipes = dict(zip(WAYS, np.median(fits, axis=0).tolist(), strict=True))
    headings = ("per step", "ms", "over step + forward", "measure: times as fast as jnp svd")
    table = Table(*headings, box=None, header_style="bold")
    for name, row in rows.items():
        faster = "" if row["faster_than_svd"] is None else f"{row['faster_than_svd']:.1f}"
        ratio = f"{row['over_step_and_forward']:.2f}"
        table.add_row(name, f"{row['milliseconds']:.3f}", ratio, faster)
    console = Console(width=100)
    console.print(table)
    listed = ", ".join(f"{kind} {milliseconds:.2f}" for kind, milliseconds in recipes.items())
    console.print(f"jaxalign train's recipe, rows fetched, ms per step: {listed}")
    content = {"rounds": arguments.rounds, "ways": rows, "fit_milliseconds": recipes}
    console.print(save("step-cost", content))


if __name__ == "__main__":
    main()
