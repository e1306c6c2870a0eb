"""The verdict on pretrained networks: whether their last layer is above every reference."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pandas import DataFrame

from jaxalign.models._sentences import INSTALL
from jaxalign.statistics import Estimate, Interval, at_confidence, holm, least, mean_interval
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.pretrained.design import PUBLISHED, UNTRAINED, Config
from jaxalign.studies.pretrained.published import TEXTS
from jaxalign.studies.pretrained.tasks import GROUPS

PERMUTED = "permuted labels"
ANY_LAYER = "untrained, any layer"
PAIR = ["network", "task"]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether the last layer is above every reference on every task.

    The networks for images decide; texts are a note.
    """
    compared = table[table["decides"] | (table["representation"] == UNTRAINED)]
    # Texts are corrected among themselves, so that an installed encoder changes no verdict.
    texts = compared["network"] == TEXTS
    images = compared[~texts]
    return Verdict(
        lead_of_best(images),
        "area over ‖y‖²√n, last layer − the best of untrained, raw and handcrafted, "
        "mean of networks",
        "tasks, which share no image",
        judged(leads(images), level=config.level),
        [*_notes(config, table, images), _of_texts(config, compared[texts])],
    )


def leads(compared: DataFrame) -> dict[str, Interval]:
    """The lead of the last layer over each reference on each task, over samples.

    Of several seeds or layers it is the smallest: the last layer has to be above all of them.
    """
    effects: dict[str, Interval] = {}
    for (network, task), rows in compared.groupby(PAIR, sort=False):
        references = rows[rows["representation"] != PUBLISHED]
        last = dict(list(references[references["decides"]].groupby("representation", sort=False)))
        last[ANY_LAYER] = rows[rows["representation"] == UNTRAINED]
        for reference, of_reference in last.items():
            effects[f"{network} on {task!r}, over {reference}"] = partial(
                least, [_lead(row) for row in of_reference.to_dict("records")]
            )
    return effects


def _lead(row: Mapping[str, Any]) -> Interval:
    jackknifed = Estimate(row["lead"], row["lead_low"], row["lead_high"], row["n"])
    return partial(at_confidence, jackknifed, freedom=GROUPS - 1)


def lead_of_best(compared: DataFrame) -> Estimate:
    """The lead over the best reference: its mean over networks, then over tasks.

    Tasks share no samples, so the interval is over them.
    """
    references = compared[compared["representation"] != PUBLISHED]
    # The smallest lead is that over the best reference.
    least = references.groupby(["task", "network"], sort=False)["lead"].min()
    return mean_interval(least.groupby("task", sort=False).mean())


def _notes(config: Config, table: DataFrame, images: DataFrame) -> list[str]:
    last = images[images["decides"]]
    wide = (images["width"] >= images["n"]).sum()
    untrained = images[images["representation"] == UNTRAINED]
    highest = untrained.groupby([*PAIR, "seed"])["area"].max().mean()
    rises = _highest_is_last(table[table["network"] != TEXTS])
    return [
        f"mean area over ‖y‖²√n, last layers: {_means(last, 'area')}",
        f"that of {PERMUTED}: {_means(last, 'null')}; the last layer is above them in "
        f"{_above_chance(config, images)} (permutation tests, Holm)",
        "mean kernel–target alignment, centred, which no common mean of rows changes: "
        f"{_means(last, 'kernel_alignment')}",
        f"mean area of the highest layer of untrained networks: {highest:.3f}",
        f"the last layer is the network's highest in {sum(rises)} of {len(rises)} cases",
        f"{wide} of {len(images)} compared representations have width d ≥ n, where A(0⁺) = ‖y‖² "
        "whatever they are; the area weighs each share of y with σ/√n",
        "BatchNorms of untrained networks have the statistics of the first 50 samples",
        "intervals of cells are over samples (jackknife of ten groups), the deciding one is over "
        "tasks",
    ]


def _of_texts(config: Config, texts: DataFrame) -> str:
    """What the row for language says."""
    if not len(texts):
        return f"there is no row for language: the sentence encoder is not installed ({INSTALL})"
    cells = judged(leads(texts), level=config.level)
    above = sum(cell.outcome == "supported" for cell in cells)
    means = _means(texts[texts["decides"]], "area")
    return (
        f"{TEXTS} on texts: above in {above} of {len(cells)} comparisons; "
        f"mean area of last layers {means}"
    )


def _above_chance(config: Config, images: DataFrame) -> str:
    """In how many cases the labels are above their permutations, in words."""
    p = holm(images.loc[images["representation"] == PUBLISHED, "p_null"])
    return f"{(p <= config.level).sum()} of {len(p)} cases"


def _means(last: DataFrame, value: str) -> str:
    """The mean of each representation, in words."""
    means = last.groupby("representation", sort=False)[value].mean()
    return ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())


def _highest_is_last(table: DataFrame) -> list[bool]:
    """For every published network and task, whether no layer is above the last."""
    published = table[table["representation"] == PUBLISHED]
    highest = published.groupby(PAIR)["area"].idxmax()
    return published.loc[highest, "decides"].tolist()
