"""The verdict on random labels, and the notes on how they were fitted."""

import math

import numpy as np
from pandas import DataFrame, Series

from jaxalign.statistics import holm, mean_interval, paired_effect
from jaxalign.studies.framework.study import Verdict, outcome
from jaxalign.studies.labels.design import FRESH, OWN, TRUE, TRUTH, Config

KIND = ["problem", "architecture"]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Holds if on every problem and architecture random labels are aligned beyond both
    comparisons.
    """
    last = table[table["last"] & (table["labels"] != TRUE)]
    own = last[last["asked"] == OWN]
    after = own[own["step"] == config.steps]
    before = own[own["step"] == 0]
    references = {
        "untrained": before,
        "labels never trained on": last[(last["asked"] == FRESH) & (last["step"] == config.steps)],
    }
    effects = {}
    for (problem, architecture), trained in after.groupby(KIND, sort=False):
        for name, reference in references.items():
            areas = of_kind(reference, problem, architecture)["area"]
            words = f"{architecture} on {problem!r}: not above {name}"
            effects[words] = paired_effect(trained["area"], areas)
    adjusted = holm([effect.p_greater for effect in effects.values()])
    failing = [words for words, p in zip(effects, adjusted, strict=True) if p > config.level]
    # Rows of both are in one order, of cells and then of networks.
    gain = after["area"].to_numpy() - before["area"].to_numpy()
    return Verdict(
        outcome(failing, len(effects)),
        mean_interval(gain),
        "area over ‖y‖²√n of the random labels trained on, last hidden layer, trained − untrained",
        failing,
        len(effects),
        _notes(config, table[table["last"]]),
    )


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
        f"networks are the unit; {config.seeds} share each permutation of the labels",
    ]


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
