"""Does the picture in the README hold over seeds?

    python benchmarks/demo_seeds.py --seeds 10

Trains the recipe of `jaxalign train` with each seed (weights and order of images) and gives, by
layer, the mean and the 95 % interval (Student's t over seeds) of A(5)/‖y‖² and of the area/‖y‖²,
untrained and trained, beside E[random labels].
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import optax
from _results import save
from flax import nnx
from rich.console import Console
from rich.table import Table

import jaxalign as ja
from jaxalign.data import fashion_mnist
from jaxalign.models import MLP
from jaxalign.statistics import mean_interval

GRID = np.linspace(0, 30, 62)
"""Of the demo notebook."""


def train(seeds: int, steps: int, threshold: float) -> ja.History:
    """All seeds as one program."""
    images = fashion_mnist(classes=(2, 4)).train
    models = [MLP(784, (128, 128, 128), 1, rngs=nnx.Rngs(seed)) for seed in range(seeds)]
    layers, targets = ja.tap(models[0], "hidden_*"), ja.encode_targets(images.labels)
    watch = ja.monitor(
        layers, images.inputs, targets, thresholds=(threshold,), grid=np.append(GRID, threshold)
    )
    settings = {"steps": steps, "every": steps, "monitor": watch, "seed": range(seeds)}
    return ja.fit(models, optax.adam(1e-3), images.inputs, images.labels, **settings)[1]


def shares(history: ja.History) -> dict[str, dict[str, np.ndarray]]:
    """Layer → what it is → (seeds,), over ‖y‖²."""
    return {
        name: {
            "alignment untrained": r.alignment[0, :, 0] / history.total,
            "alignment trained": r.alignment[-1, :, 0] / history.total,
            "alignment random labels": r.null[-1, :, -1] / history.total,
            "area untrained": r.area[0] / history.total,
            "area trained": r.area[-1] / history.total,
        }
        for name, r in history.layers.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1563)
    parser.add_argument("--threshold", type=float, default=5.0)
    arguments = parser.parse_args()
    found = shares(train(arguments.seeds, arguments.steps, arguments.threshold))
    summary = {
        name: {key: mean_interval(x) for key, x in values.items()} for name, values in found.items()
    }
    rising = np.diff([values["area trained"] for values in found.values()], axis=0) > 0
    ordered = int(rising.all(axis=0).sum())
    table = Table("layer", *next(iter(summary.values())))
    for name, values in summary.items():
        table.add_row(name, *(f"{v.value:.3f} ± {v.high - v.value:.3f}" for v in values.values()))
    console = Console(width=160)
    console.print(table)
    console.print(
        f"area rises from every layer to the next, input first, in {ordered} of {arguments.seeds} seeds"
    )

    def told(x, v):
        return {
            "mean": v.value,
            "half_width": v.high - v.value,
            "seeds": np.round(x, 6).tolist(),
        }

    layers = {
        name: {key: told(x, summary[name][key]) for key, x in values.items()}
        for name, values in found.items()
    }
    console.print(
        save("demo-seeds", {**vars(arguments), "layers": layers, "area_rises_with_depth": ordered})
    )


if __name__ == "__main__":
    main()
