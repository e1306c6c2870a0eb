"""What do similarities of two representations cost beside their matrix products, and every measure
of the family beside alignment?

    python benchmarks/family_cost.py

- "cka": ``linear_cka`` of 60 000 × 784 with 60 000 × 512, beside XᵀX, YᵀY and XᵀY alone, by BLAS in
  float64, in which it computes, and in float32.
- "grid": ``similarity.grid`` of 50 × 50 layers of 1000 × 512, beside a jitted loop in float32 that
  forms and centres both kernels of each pair in O(n²). The loop runs some of the pairs, and its
  time is taken for all.
- "family": each measure of one layer, 1000 × 128 with 10 classes, as a jitted function of
  activations, beside the spectrum and the area of alignment.

What is compared runs in turn; times are medians over rounds, ratios medians within a round, on the
clock and of processor time, which other work disturbs less. Errors are those next to numpy in
float64.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _in_turn import in_turn
from _results import save
from rich.console import Console
from rich.table import Table

import jaxalign as ja
from jaxalign import geometry, learning, similarity, transferability

CLASSES = 10
Ways = dict[str, Callable[[], object]]


def representations(count: int, n: int, d: int, seed: int = 0) -> list[np.ndarray]:
    """Layers (n, d) that share some directions, float32."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n, 16))

    def layer() -> np.ndarray:
        own = rng.standard_normal((n, d))
        return (shared @ rng.standard_normal((16, d)) + own).astype(np.float32)

    return [layer() for _ in range(count)]


def reference_cka(x: np.ndarray, y: np.ndarray) -> float:
    x, y = (part - part.mean(axis=0) for part in (x.astype(np.float64), y.astype(np.float64)))
    cross, own, other = (np.linalg.norm(product) for product in (x.T @ y, x.T @ x, y.T @ y))
    return float(cross**2 / (own * other))


def cka(n: int, widths: tuple[int, int]) -> tuple[Ways, dict[str, float]]:
    x, y = (representations(1, n, width, seed=width)[0] for width in widths)
    wide = [part.astype(np.float64) for part in (x, y)]

    def products(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        return [x.T @ x, y.T @ y, x.T @ y]

    ways: Ways = {
        "linear_cka": lambda: similarity.linear_cka(x, y),
        "three products, float64": lambda: products(*wide),
        "three products, float32": lambda: products(x, y),
    }
    return ways, {"linear_cka": abs(float(ways["linear_cka"]()) - reference_cka(x, y))}


def centred_kernel(x: jax.Array) -> jax.Array:
    kernel = jnp.matmul(x, x.T, precision="highest")
    means = kernel.mean(axis=0)
    return kernel - means - means[:, None] + means.mean()


@jax.jit
def by_pairs(xs: jax.Array, ys: jax.Array) -> jax.Array:
    """CKA of each pair, both kernels formed and centred for it."""

    def of_pair(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        k, l = map(centred_kernel, pair)  # noqa: E741
        return (k * l).sum() / jnp.sqrt((k * k).sum() * (l * l).sum())

    return jax.lax.map(of_pair, (xs, ys))


def grid(layers: int, n: int, d: int, pairs: int) -> tuple[Ways, dict[str, float]]:
    xs, ys = (representations(layers, n, d, seed) for seed in (0, 1))
    chosen = np.random.default_rng(2).integers(layers, size=(pairs, 2))
    stacks = [
        jnp.stack([part[i] for i in places])
        for part, places in zip((xs, ys), chosen.T, strict=True)
    ]
    ways: Ways = {
        "grid": lambda: similarity.grid(xs, ys),
        "loop over pairs": lambda: by_pairs(*stacks),
    }
    expected = np.array([reference_cka(xs[i], ys[j]) for i, j in chosen[:5]])
    found = np.asarray(ways["grid"]())[tuple(chosen[:5].T)]
    errors = {"grid": found, "loop over pairs": np.asarray(ways["loop over pairs"]())[:5]}
    return ways, {name: float(np.abs(each - expected).max()) for name, each in errors.items()}


def family(n: int, d: int) -> Ways:
    x, y = map(jnp.asarray, representations(2, n, d))
    labels = jnp.asarray(np.argsort(np.asarray(x[:, :CLASSES]), axis=1)[:, -1])
    indicators = jax.nn.one_hot(labels, CLASSES)
    classes = range(CLASSES)
    objects = jnp.arange(n) // 2

    def solved(x: jax.Array) -> ja.Spectrum:
        return ja.spectrum(ja.prepare(x), indicators)

    of_spectrum: dict[str, Callable[[ja.Spectrum], Any]] = {
        "alignment_area": ja.alignment_area,
        "gcv": partial(learning.gcv, ridge=1.0),
        "learning_curve": lambda s: learning.learning_curve(s, [100.0, 1e3, 1e4], ridge=1.0),
        "learning_curve, best ridge": lambda s: learning.learning_curve(
            s, [100.0, 1e3, 1e4], ridge="best"
        ),
        "sample_complexity": partial(learning.sample_complexity, error=0.05),
        "log_me": transferability.log_me,
        "rankme, of the spectrum": geometry.rankme,
        "alpha_req, of the spectrum": geometry.alpha_req,
    }
    of_features: dict[str, Callable[[jax.Array], Any]] = {
        "rankme": geometry.rankme,
        "effective_rank": geometry.effective_rank,
        "participation_ratio": geometry.participation_ratio,
        "stable_rank": geometry.stable_rank,
        "alpha_req": geometry.alpha_req,
        "lidar": lambda x: geometry.lidar(x, objects, classes=range(n // 2)),
        "neural_collapse": lambda x: geometry.neural_collapse(x, labels, classes=classes),
        "two_nn": geometry.two_nn,
        "h_score": lambda x: transferability.h_score(x, labels, classes=classes),
        "leep": lambda x: transferability.leep(
            jax.nn.softmax(x[:, :CLASSES]), labels, classes=classes
        ),
    }
    of_pair: dict[str, Callable[[jax.Array, jax.Array], Any]] = {
        name: getattr(similarity, name)
        for name in (
            "linear_cka",
            "rbf_cka",
            "cca",
            "svcca",
            "pwcca",
            "procrustes_distance",
            "angular_procrustes_distance",
            "bures_similarity",
            "mutual_knn",
            "cknna",
            "rsa",
        )
    }
    of_pair["rsa, spearman"] = partial(similarity.rsa, compare="spearman")
    programs: dict[str, Callable] = {
        **{name: jax.jit(lambda x, _, f=f: f(solved(x))) for name, f in of_spectrum.items()},
        **{name: jax.jit(lambda x, _, f=f: f(x)) for name, f in of_features.items()},
        **{name: jax.jit(f) for name, f in of_pair.items()},
    }
    return {name: partial(program, x, y) for name, program in programs.items()}


def report(ways: Ways, first: str, rounds: int, times: dict[str, float]) -> dict[str, dict]:
    """Medians, and ratios over the first way; ``times`` scales what runs a part."""
    seconds = {name: t * times.get(name, 1.0) for name, t in in_turn(ways, rounds).items()}
    return {
        name: {
            "milliseconds": 1e3 * float(np.median(t[:, 0])),
            "over": first,
            "ratio": float(np.median(t[:, 0] / seconds[first][:, 0])),
            "ratio_of_processor_time": float(np.median(t[:, 1] / seconds[first][:, 1])),
        }
        for name, t in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=60_000, help="of the pair")
    parser.add_argument("--layers", type=int, default=50, help="of each side of the grid")
    parser.add_argument("--pairs", type=int, default=25, help="that the loop runs")
    parser.add_argument("--only", choices=("cka", "grid", "family"))
    arguments = parser.parse_args()
    console = Console(width=100)
    content: dict[str, Any] = {"config": vars(arguments)}
    for name in ("cka", "grid", "family"):
        if arguments.only not in (None, name):
            continue
        errors: dict[str, float] = {}
        times: dict[str, float] = {}
        if name == "cka":
            first = "three products, float64"
            ways, errors = cka(arguments.rows, (784, 512))
        elif name == "grid":
            first = "grid"
            ways, errors = grid(arguments.layers, 1000, 512, arguments.pairs)
            times = {"loop over pairs": arguments.layers**2 / arguments.pairs}
        else:
            first = "alignment_area"
            ways = family(1000, 128)
        results = report(ways, first, arguments.rounds, times)
        for way, error in errors.items():
            results[way]["error"] = error
        content[name] = results
        table = Table(name, "ms", f"over {first}", "processor time", "error", box=None)
        for way, row in results.items():
            ratios = (row["ratio"], row["ratio_of_processor_time"])
            error = f"{row['error']:.0e}" if "error" in row else ""
            table.add_row(
                way, f"{row['milliseconds']:,.3g}", *(f"{ratio:.2f}" for ratio in ratios), error
            )
        console.print(table, "")
    if arguments.only is None:
        console.print(save("family-cost", content))


if __name__ == "__main__":
    main()
