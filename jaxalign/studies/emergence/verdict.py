"""The verdict on emergence, and the notes on the inputs and on what did not learn."""

from functools import partial

import numpy as np
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.statistics import mean_interval
from jaxalign.studies.emergence.design import Config
from jaxalign.studies.emergence.table import Levels, by_seed, of_span, relative_losses
from jaxalign.studies.framework.verdict import Judged, Verdict, judged
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON, held_out_note, part
from jaxalign.studies.shared.outside import left_out
from jaxalign.studies.shared.problems import OUTSIDE


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether the last hidden layer's share rises in every cell that learned."""
    losses = relative_losses(table)
    # The loss of a diverged run is NaN, which is not under the limit.
    learned = [levels for levels, loss in losses.items() if loss < config.learned]
    if not learned:
        raise ValueError(
            f"no network learned: no final loss is under {config.learned} of that of the best "
            "constant answer; take more steps"
        )
    known = part(table, TRAINED_ON)
    inputs = by_seed(known[known["layer"] == INPUT], "trained")[learned]
    over_inputs = by_seed(known[known["last"]], "trained")[learned] - inputs
    outside = [source for source in OUTSIDE if source.name in config.problems]
    return _judged_on(config, known, learned)._replace(
        notes=(
            held_out_note(_judged_on(config, part(table, HELD_OUT), learned)),
            *_of_inputs(_judged(over_inputs, config.level)),
            *(
                f"did not learn, left out: {' · '.join(levels)} ({_described(loss)})"
                for levels, loss in losses.items()
                if levels not in learned
            ),
            *left_out(table["problem"].unique(), outside),
        )
    )


def _judged_on(config: Config, table: DataFrame, learned: list[Levels]) -> Verdict:
    """The verdict on one part of the table, without notes."""
    last = of_span(table[table["last"]])
    rises = (by_seed(last, "trained") - by_seed(last, "untrained"))[learned]
    return Verdict(
        mean_interval(rises.mean(axis=1), within=(-1, 1)),
        "area of the last hidden layer, ∫A dτ over ‖Py‖²√n, trained − untrained, mean of cells",
        "seeds, with a network of each in every cell",
        _judged(rises, config.level),
    )


def _judged(gains: DataFrame, level: float) -> list[Judged]:
    """The cells, columns of gains by seed."""
    effects = {
        " · ".join(levels): partial(mean_interval, gains[levels].to_numpy(), within=(-1, 1))
        for levels in gains
    }
    return judged(effects, level=level)


def _of_inputs(cells: list[Judged]) -> list[str]:
    """How the last hidden layer compares with the inputs."""
    above = [cell for cell in cells if cell.outcome == "supported"]
    below = [cell.name for cell in cells if cell.outcome == "contradicted"]
    notes = [f"above the inputs, after the same correction, in {len(above)} of {len(cells)} cells"]
    if below:
        notes.append(f"below the inputs in {len(below)}: {'; '.join(below)}")
    return notes


def _described(loss: float) -> str:
    if np.isfinite(loss):
        return f"loss {loss:.0%} of the best constant answer's"
    return "a seed diverged"
