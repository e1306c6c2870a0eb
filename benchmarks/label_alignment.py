"""Does Label Alignment Regularization help a linear classifier on images from a shifted distribution?

    python benchmarks/label_alignment.py --seeds 3

All 45 pairs of Fashion-MNIST classes. Source: 250 labelled images a class; shifted: the other 250, without labels, at half the
resolution, two pixels to the right, at 60 % contrast; accuracy on the 200 test images, shifted. Columns: least squares, ridge
(its strength chosen on held-out source images, as one would without shifted labels) and the regularisation, with k = k̃ the
directions that hold 90 % of y and λ = 1. Differences are paired by pair and seed, with 95 % intervals by bootstrap over pairs.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from itertools import combinations

import numpy as np
from _results import save
from rich.console import Console
from rich.table import Table

import jaxalign as ja
from jaxalign.data import fashion_mnist

SHARE, STRENGTHS = 0.9, (1e-2, 1e-1, 1, 10, 100)


def shifted(images: np.ndarray) -> np.ndarray:
    """(n, 28, 28) at half the resolution, two pixels to the right, at 60 % contrast."""
    n = len(images)
    coarse = images.reshape(n, 14, 2, 14, 2).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    return 0.6 * np.roll(coarse, 2, axis=2)


def rows(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), -1).astype(np.float32)
    return np.concatenate([flat, np.ones((len(flat), 1), np.float32)], axis=1)


def accuracy(weights: np.ndarray, features: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean((features @ weights > 0) == (targets > 0)))


def ridge(features: np.ndarray, targets: np.ndarray, strength: float) -> np.ndarray:
    gram = features.T.astype(float) @ features
    return np.linalg.solve(gram + strength * np.eye(len(gram)), features.T.astype(float) @ targets)


def run(pair: tuple[int, int], seed: int) -> dict[str, float]:
    images = fashion_mnist(classes=pair)
    order = np.random.default_rng(seed).permutation(len(images.train))
    half = len(order) // 2
    picture = lambda held: held.inputs.reshape(-1, 28, 28)
    source, other = (picture(images.train)[part] for part in (order[:half], order[half:]))
    y = np.asarray(ja.encode_targets(images.train.labels))[order[:half]]
    phi, unlabelled, test = rows(source), rows(shifted(other)), rows(shifted(picture(images.test)))
    goal = np.asarray(ja.encode_targets(images.test.labels))

    fit, held = slice(0, half * 4 // 5), slice(half * 4 // 5, None)
    best = max(STRENGTHS, key=lambda s: accuracy(ridge(phi[fit], y[fit], s), phi[held], y[held]))
    rank = int(ja.aligned_rank(ja.spectrum(phi, y), SHARE)[0])
    aligned = ja.label_alignment_weights(phi, y, unlabelled, rank=rank, unlabelled_rank=rank)
    return {
        "least squares": accuracy(np.linalg.lstsq(phi.astype(float), y, rcond=None)[0], test, goal),
        "ridge": accuracy(ridge(phi, y, best), test, goal),
        "label alignment": accuracy(np.asarray(aligned), test, goal),
    }


def interval(differences: np.ndarray) -> dict[str, float]:
    """Of (pairs, seeds) differences: mean, and the 95 % interval by bootstrap over pairs."""
    by_pair = differences.mean(axis=1)
    drawn = np.random.default_rng(0).choice(by_pair, (10_000, len(by_pair))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"mean": float(by_pair.mean()), "low": float(low), "high": float(high), "better in": float((by_pair > 0).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    pairs = list(combinations(range(10), 2))
    found = [[run(pair, seed) for seed in range(arguments.seeds)] for pair in pairs]
    scores = {name: np.array([[one[name] for one in seeds] for seeds in found]) for name in found[0][0]}
    against = {name: interval(scores["label alignment"] - scores[name]) for name in ("least squares", "ridge")}

    table = Table("classifier", "accuracy on shifted images", "label alignment is better by", box=None, header_style="bold")
    for name, held in scores.items():
        gain = against.get(name)
        told = "" if gain is None else f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        table.add_row(name, f"{held.mean():.3f}", told)
    Console(width=100).print(table)
    means = {name: float(held.mean()) for name, held in scores.items()}
    by_pair = {name: held.mean(axis=1).tolist() for name, held in scores.items()}
    content = {**vars(arguments), "accuracy": means, "gain": against, "pairs": pairs, "accuracy_by_pair": by_pair}
    print(save("label-alignment", content))


if __name__ == "__main__":
    main()
