"""Does the picture in the README hold over seeds?

    python benchmarks/demo_seeds.py --seeds 10

Trains the recipe of `jaxalign train` with each seed (weights and order of images) and gives, by layer, the mean and the 95 %
interval (Student's t over seeds) of A(5)/‖y‖² and of the area/‖y‖², untrained and trained, beside E[random labels].
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

# Two-sided 97.5 % quantiles of Student's t by degrees of freedom, so that no statistics package is needed.
T_QUANTILE = {2: 4.303, 4: 2.776, 9: 2.262, 19: 2.093}


def interval(values: list[float]) -> dict[str, float]:
    half = T_QUANTILE[len(values) - 1] * np.std(values, ddof=1) / len(values) ** 0.5
    return {"mean": float(np.mean(values)), "half_width": float(half)}


def run(seed: int, steps: int, threshold: float) -> dict[str, dict[str, float]]:
    images = fashion_mnist(classes=(2, 4)).train
    model = MLP(784, (128, 128, 128), 1, rngs=nnx.Rngs(seed))
    grid = np.append(np.linspace(0, 30, 62), threshold)
    watch = ja.probe(
        ja.tap(model, "hidden_*"), images.inputs, ja.encode_targets(images.labels), thresholds=(threshold,), grid=grid
    )
    _, history = ja.fit(model, optax.adam(1e-3), images.inputs, images.labels, steps=steps, probe=watch, seed=seed)
    return {
        name: {
            "alignment untrained": float(r.alignment[0, 0] / history.total),
            "alignment trained": float(r.alignment[-1, 0] / history.total),
            "alignment random labels": float(r.null[-1, -1] / history.total),
            "area untrained": float(r.area[0] / history.total),
            "area trained": float(r.area[-1] / history.total),
        }
        for name, r in history.layers.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, choices=[n + 1 for n in T_QUANTILE])
    parser.add_argument("--steps", type=int, default=1563)
    parser.add_argument("--threshold", type=float, default=5.0)
    arguments = parser.parse_args()
    runs = []
    for seed in range(arguments.seeds):
        runs.append(run(seed, arguments.steps, arguments.threshold))
        print(f"seed {seed} done", flush=True)

    layers = list(runs[0])
    summary = {name: {key: interval([r[name][key] for r in runs]) for key in runs[0][name]} for name in layers}
    ordered = sum(np.all(np.diff([r[name]["area trained"] for name in layers]) > 0) for r in runs)
    table = Table("layer", *runs[0][layers[0]])
    for name in layers:
        table.add_row(name, *(f"{v['mean']:.3f} ± {v['half_width']:.3f}" for v in summary[name].values()))
    console = Console(width=160)
    console.print(table)
    console.print(f"area rises from every layer to the next, input first, in {ordered} of {len(runs)} seeds")
    result = {**vars(arguments), "layers": summary, "area_rises_with_depth": int(ordered), "runs": runs}
    console.print(save("demo-seeds", result))


if __name__ == "__main__":
    main()
