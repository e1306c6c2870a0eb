"""The verdict on random labels, and the notes on how they were fitted."""

import math
from functools import partial

import numpy as np
from pandas import DataFrame, Series

from jaxalign.statistics import mean_interval
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.labels.design import FRESH, OWN, TRUE, TRUTH, Config

KIND = ["problem", "architecture"]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether random labels are aligned beyond both comparisons, on every problem and by every
    architecture.

    Permutations of the labels are the unit: networks that share one are averaged.
    """
    last = table[table["last"] & (table["labels"] != TRUE)]
    own = last[last["asked"] == OWN]
    after = own[own["step"] == config.steps]
    before = own[own["step"] == 0]
    references = {
        "untrained": before,
        "labels never trained on": last[(last["asked"] == FRESH) & (last["step"] == config.steps)],
    }
    effects = {
        f"{architecture} on {problem!r}, trained − {name}": partial(
            mean_interval,
            _gain(trained, of_kind(reference, problem, architecture), ["labels"]),
            within=(-1, 1),
        )
        for (problem, architecture), trained in after.groupby(KIND, sort=False)
        for name, reference in references.items()
    }
    return Verdict(
        # Architectures share the permutations of a problem.
        mean_interval(_gain(after, before, ["problem", "labels"]), within=(-1, 1)),
        "area over ‖y‖²√n of the random labels trained on, last hidden layer, trained − untrained",
        "permutations of the labels",
        judged(effects, level=config.level),
        _notes(config, table[table["last"]]),
    )


def _gain(after: DataFrame, before: DataFrame, unit: list[str]) -> Series:
    """The difference of areas, a mean for each unit."""
    return after.groupby(unit)["area"].mean() - before.groupby(unit)["area"].mean()


def of_kind(table: DataFrame, problem: str, architecture: str) -> DataFrame:
    """The rows of one problem and architecture."""
    return table[(table["problem"] == problem) & (table["architecture"] == architecture)]


def first_steps(table: DataFrame, reached: Series) -> list[float]:
    """For every network, the first measured step at which it was so; infinity if it never was.

    Args:
      table: of networks, one row per measured step.
      reached: whether it was so, for each row.
    """
    steps = table["step"].astype(float).where(reached, math.inf)
    return steps.groupby([table["labels"], table["seed"]]).min().tolist()


def _notes(config: Config, last: DataFrame) -> list[str]:
    """The notes, from the rows of last hidden layers."""
    random = last["labels"] != TRUE
    end = last["step"] == config.steps
    own = last["asked"] == OWN
    fitted = last.loc[random & end & own, "accuracy"]

    def mean_area(rows):
        return last.loc[rows, "area"].mean()

    def gain(rows):
        return mean_area(rows & own & end) - mean_area(rows & own & (last["step"] == 0))

    truth = mean_area(random & end & (last["asked"] == TRUTH))
    fresh = mean_area(random & end & (last["asked"] == FRESH))
    return [
        f"random labels were fitted to an accuracy of {fitted.mean():.3f} on average, "
        f"{fitted.min():.3f} at least",
        f"the gain is {gain(random):.3f} for random and {gain(~random):.3f} for true labels",
        f"in networks trained on random labels, the true ones have {truth:.3f}, random ones never "
        f"trained on {fresh:.3f}",
        *(
            f"{architecture} on {problem!r}, {_speed(config, kind)}"
            for (problem, architecture), kind in last[own].groupby(KIND, sort=False)
        ),
        f"permutations are the unit; {_networks(last[random])} trained on each",
    ]


def _networks(last: DataFrame) -> str:
    """How many networks are trained on one permutation, in words."""
    most = last.groupby([*KIND, "labels"])["seed"].nunique().max()
    return "one network is" if most == 1 else f"{most} networks are"


def _speed(config: Config, table: DataFrame) -> str:
    """How many steps random labels took, compared with true ones."""
    true = table["labels"] == TRUE

    def steps(reached):
        medians = [
            _median_steps(first_steps(table[rows], reached[rows]), config.steps)
            for rows in (true, ~true)
        ]
        return ", ".join(medians)

    return (
        f"median steps of true and random labels to a loss of {config.fitted:g}: "
        f"{steps(table['loss'] <= config.fitted)}; to half of ‖y‖² above "
        f"τ = {config.threshold:g}√n: {steps(table['at'] >= 0.5)}"
    )


def _median_steps(steps: list[float], most: int) -> str:
    median = np.median(steps)
    return f"{median:.0f}" if median <= most else f"more than {most}"
