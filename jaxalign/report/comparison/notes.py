"""What the numbers of a comparison depend on, in sentences for its page."""

from collections.abc import Iterator, Mapping

import numpy as np

from jaxalign.comparison import Comparison, LayerShape

_POOLING = {
    "mean": "averaged over their positions",
    "flatten": "flattened, each position and channel a feature",
    "cls": "reduced to their first position",
}
_NAMED = 6


def notes(comparison: Comparison, *, reduce: str) -> list[str]:
    """Pooling, chance, layers without a value, layers left out, centring."""
    return [*_pooling(comparison, reduce), _chance(comparison), *_missing(comparison)]


def _pooling(comparison: Comparison, reduce: str) -> Iterator[str]:
    both = (*comparison.first.values(), *comparison.second.values())
    if any(len(layer.shape) > 1 for layer in both):
        yield f"Maps and tokens are {_POOLING[reduce]} (--reduce {reduce})."


def _chance(comparison: Comparison) -> str:
    chance = comparison.pairs.chance
    if chance is None:
        return (
            f"What chance gives {comparison.measure} is not known without permutations, so no pair "
            "is marked. Pass --permutations 100 to estimate it."
        )
    if chance.p_value is None:
        return (
            "A pair is marked if it is no more alike than the mean by chance, over all orders of "
            "the rows of one side. How far chance scatters about this mean is not known without "
            "--permutations."
        )
    source = "the closed form of the permutation distribution, approximate and never below 0.001"
    if comparison.permutations:
        source = f"{comparison.permutations:,} random orders of the rows of one side"
    return (
        f"A pair is marked if it is not above chance: its p-value, from {source}, is above 5 % "
        "after it is adjusted for the number of pairs (Benjamini and Hochberg)."
    )


def _missing(comparison: Comparison) -> Iterator[str]:
    empty = np.isnan(comparison.pairs.values)
    sides = (
        ("A", comparison.first, empty.all(axis=1)),
        ("B", comparison.second, empty.all(axis=0)),
    )
    for (side, shapes, without), left_out in zip(sides, comparison.left_out, strict=True):
        if without.any():
            yield _constant(side, shapes, without)
        for name, why in left_out.items():
            yield f"{name} of {side} is left out: {why}."
    if comparison.alignments is not None and comparison.centered:
        yield "Alignment is about the means of features and targets."


def _constant(side: str, shapes: Mapping[str, LayerShape], without: np.ndarray) -> str:
    names = [name for name, empty in zip(shapes, without, strict=True) if empty]
    listed = ", ".join(names[:_NAMED])
    if len(names) > _NAMED:
        listed += f" and {len(names) - _NAMED} more"
    return f"{listed} of {side} have no value: constant over all rows, or too few rows for it."
