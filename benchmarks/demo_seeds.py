"""Does the picture in the README hold over seeds?

    python benchmarks/demo_seeds.py --seeds 10

Trains the recipe of `jaxalign train` with each seed (weights and order of images). By layer, it
gives the mean and the 95 % interval (Student's t over seeds) of A(5)/‖y‖² and of the area/‖y‖²,
untrained and trained, and A(5)/‖y‖² of the isotropic null.
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
from jaxalign.monitoring import curve
from jaxalign.statistics import mean_interval


def train(seeds: int, steps: int, threshold: float) -> ja.History:
    """All seeds as one program."""
    images = fashion_mnist(classes=(2, 4)).train
    models = [MLP(784, (128, 128, 128), 1, rngs=nnx.Rngs(seed)) for seed in range(seeds)]
    measures = {
        "area": ja.alignment_area,
        "alignment": curve([threshold]),
        "null": lambda s: ja.alignment_curve(ja.isotropic_null(s), threshold),
    }
    targets = ja.encode_targets(images.labels)
    layers = ja.tap(models[0], "hidden_*")
    monitor = ja.monitor(layers, images.inputs, targets, measures=measures)
    settings = {"steps": steps, "every": steps, "monitor": monitor, "seed": range(seeds)}
    return ja.fit(models, optax.adam(1e-3), images.inputs, images.labels, **settings)[1]


def shares(history: ja.History) -> dict[str, dict[str, np.ndarray]]:
    """Layer → quantity → (seeds,), over ‖y‖²."""
    shares = {}
    for name, measures in history.layers.items():
        total = history.totals[name]
        # (rows, seeds): the axis of the single threshold, or of the single target, is left out.
        alignment = measures["alignment"].reshape(len(history.measured), -1) / total
        null = measures["null"].reshape(len(history.measured), -1) / total
        area = measures["area"] / total
        shares[name] = {
            "alignment untrained": alignment[0],
            "alignment trained": alignment[-1],
            "alignment isotropic null": null[-1],
            "area untrained": area[0],
            "area trained": area[-1],
        }
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1563)
    parser.add_argument("--threshold", type=float, default=5.0)
    arguments = parser.parse_args()
    layers = shares(train(arguments.seeds, arguments.steps, arguments.threshold))
    summary = {
        name: {key: mean_interval(x) for key, x in values.items()}
        for name, values in layers.items()
    }
    rising = np.diff([values["area trained"] for values in layers.values()], axis=0) > 0
    ordered = int(rising.all(axis=0).sum())
    table = Table("layer", *next(iter(summary.values())))
    for name, values in summary.items():
        table.add_row(name, *(f"{v.value:.3f} ± {v.high - v.value:.3f}" for v in values.values()))
    console = Console(width=160)
    console.print(table)
    console.print(
        "area rises from every layer to the next, input first, "
        f"in {ordered} of {arguments.seeds} seeds"
    )
    numbers: dict[str, dict] = {name: {} for name in layers}
    for name, values in layers.items():
        for key, x in values.items():
            estimate = summary[name][key]
            numbers[name][key] = {
                "mean": estimate.value,
                "half_width": estimate.high - estimate.value,
                "seeds": np.round(x, 6).tolist(),
            }
    content = {**vars(arguments), "layers": numbers, "area_rises_with_depth": ordered}
    console.print(save("demo-seeds", content))


if __name__ == "__main__":
    main()
