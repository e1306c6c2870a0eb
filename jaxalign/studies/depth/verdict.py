"""The verdict on depth, and the notes on its nulls and on what hardly learned."""

from functools import partial
from itertools import pairwise

import numpy as np
from pandas import DataFrame

from jaxalign.statistics import Interval, least, mean_interval
from jaxalign.studies.depth.design import RANDOM, REAL, Config
from jaxalign.studies.depth.table import by_depth, hidden_layers, last_layer, rank_correlations
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON, held_out_note, part
from jaxalign.studies.shared.outside import left_out
from jaxalign.studies.shared.problems import OUTSIDE

COMPARISONS = {"trained": "after equal steps", "at_loss": "at equal training loss"}
"""Column of the table → which networks it compares."""


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether the last hidden layer's share rises with depth, on the whole and step by step."""
    problems = table["problem"].unique()
    outside = [source for source in OUTSIDE if source.name in config.problems]
    known = part(table, TRAINED_ON)
    return _judged_on(config, known)._replace(
        notes=(
            held_out_note(_judged_on(config, part(table, HELD_OUT))),
            *_of_comparisons(known),
            *(
                note
                for problem in problems
                for note in _notes(config, known[known["problem"] == problem], problem)
            ),
            *left_out(problems, outside),
        )
    )


def _judged_on(config: Config, table: DataFrame) -> Verdict:
    """The verdict on one part of the table, without notes."""
    return Verdict(
        least(list(_trends(table).values()), confidence=0.95),
        "rank correlation of depth and the last hidden layer's area over ‖y‖²√n, mean of data "
        "sets, where it is lower: after equal steps or at equal training loss",
        "seeds, with a network of each at every depth",
        judged(_gains(table), level=config.level),
    )


def _trends(table: DataFrame) -> dict[str, Interval]:
    """Comparison → the rank correlation of depth and share."""
    trends: dict[str, Interval] = {}
    for column, comparison in COMPARISONS.items():
        # One value per seed, so that the interval is over independent networks.
        correlations = [
            rank_correlations(share) for share in _shares(table, column) if share.shape[1] > 1
        ]
        if not correlations:
            raise ValueError(
                f"no data set has two depths that can be compared {comparison}; take more steps"
            )
        mean = np.mean(correlations, axis=0)
        trends[comparison] = partial(mean_interval, mean, within=(-1, 1))
    return trends


def _gains(table: DataFrame) -> dict[str, Interval]:
    """Name of a cell → the share gained by one step in depth."""
    return {
        f"{problem}, {comparison}, from depth {a} to {b}": partial(
            mean_interval, (share[b] - share[a]).to_numpy(), within=(-1, 1)
        )
        for column, comparison in COMPARISONS.items()
        for problem, share in zip(table["problem"].unique(), _shares(table, column), strict=True)
        for a, b in pairwise(share)
    }


def _shares(table: DataFrame, column: str) -> list[DataFrame]:
    """For every data set, the last hidden layer's share (seeds, depths) with the real labels.

    A depth is left out if a seed diverged, or did not come down to the loss.
    """
    last = last_layer(table[table["labels"] == REAL])
    return [
        by_depth(last[last["problem"] == problem], column).dropna(axis="columns")
        for problem in table["problem"].unique()
    ]


def _of_comparisons(table: DataFrame) -> list[str]:
    """The rank correlation of each comparison."""
    notes = []
    for comparison, trend in _trends(table).items():
        mean = trend(confidence=0.95)
        notes.append(
            f"rank correlation {comparison}: {mean.value:.3g} [{mean.low:.3g}, {mean.high:.3g}]"
        )
    return notes


def _notes(config: Config, table: DataFrame, problem: str) -> list[str]:
    real = table[table["labels"] == REAL]
    last = last_layer(real)
    depths = ", ".join(map(str, config.depths))
    notes = [
        f"{problem}, depths {depths}: last hidden layer after equal steps "
        f"{_means(by_depth(last, 'trained'))}, at equal loss {_means(by_depth(last, 'at_loss'))}",
        f"{problem}: steps to that loss {_means(by_depth(last, 'steps_to_loss'), digits=0)}",
        f"{problem}: the same untrained {_trend(by_depth(last, 'untrained'))}",
        f"{problem}: mean of all hidden layers {_trend(by_depth(hidden_layers(real), 'trained'))}",
    ]
    for labels in config.labels:
        of_labels = table[table["labels"] == labels]
        if labels == RANDOM:
            share = by_depth(last_layer(of_labels), "trained")
            notes.append(f"{problem}: last hidden layer, random labels {_trend(share)}")
        if slow := _slow_depths(config, of_labels):
            notes.append(
                f"{problem}, {labels} labels: hardly learned at depth {', '.join(slow)} "
                "of the best constant answer's loss"
            )
    return notes


def _means(share: DataFrame, digits: int = 2) -> str:
    """The mean at each depth; nan where a seed has none."""
    return ", ".join(f"{mean:.{digits}f}" for mean in share.mean(axis="index", skipna=False))


def _trend(share: DataFrame) -> str:
    rho = rank_correlations(share.dropna(axis="columns")).mean()
    return f"{_means(share)} (rank correlation {rho:.2f})"


def _slow_depths(config: Config, table: DataFrame) -> list[str]:
    """The depths that hardly learned, with the last loss as a share of the best constant's."""
    loss = by_depth(table, "loss_end") / by_depth(table, "loss_constant")
    # A diverged network's share is NaN, which is not under the limit.
    return [
        f"{depth} ({share:.0%})"
        for depth, share in loss.mean(axis="index", skipna=False).items()
        if not share < config.learned
    ]
