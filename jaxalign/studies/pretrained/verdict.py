"""The verdict on pretrained networks: whether their last layer is above every reference."""

from pandas import DataFrame

from jaxalign.models._sentences import INSTALL
from jaxalign.statistics import Estimate, holm, mean_interval
from jaxalign.studies.framework.study import Verdict, outcome
from jaxalign.studies.pretrained.design import PUBLISHED, UNTRAINED, Config
from jaxalign.studies.pretrained.published import TEXTS

PERMUTED = "permuted labels"
ANY_LAYER = "untrained, any layer"
PAIR = ["network", "task"]
Comparison = tuple[str, str, str]
"""Network, task and reference."""


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Holds if the last layer is above every reference on every task.

    The networks for images decide; texts are a note.
    """
    compared = table[table["decides"] | (table["representation"] == UNTRAINED)]
    # Texts are corrected among themselves, so that an installed encoder changes no verdict.
    texts = compared["network"] == TEXTS
    images = compared[~texts]
    adjusted = adjusted_p(images)
    failing = [
        f"{network} on {task!r}: not above {reference}"
        for (network, task, reference), p in adjusted.items()
        if p > config.level
    ]
    return Verdict(
        outcome(failing, len(adjusted)),
        margin(images),
        "area over ‖y‖²√n, last layer − the best of untrained, raw and handcrafted, "
        "mean over networks",
        failing,
        len(adjusted),
        [*_notes(table, images), _of_texts(config, compared[texts])],
    )


def adjusted_p(compared: DataFrame) -> dict[Comparison, float]:
    """The p-value of every comparison, corrected among references, and among permuted labels."""
    # Leads are tested with Student's t, nulls by permutations, so each kind is corrected apart.
    leads = {}
    for (network, task), rows in compared.groupby(PAIR, sort=False):
        for reference, p in lead_p(rows).items():
            leads[network, task, reference] = p
    published = compared[compared["representation"] == PUBLISHED]
    nulls = {
        (network, task, PERMUTED): p
        for network, task, p in zip(
            published["network"], published["task"], published["p_null"], strict=True
        )
    }
    return {**_holm(leads), **_holm(nulls)}


def lead_p(rows: DataFrame) -> dict[str, float]:
    """Reference → the p-value of the last layer being above it, on one task.

    Of several seeds or layers it is the largest: the last layer has to be above all of them.
    """
    last = rows[rows["decides"] & (rows["representation"] != PUBLISHED)]
    leads = last.groupby("representation", sort=False)["p_lead"].max().to_dict()
    leads[ANY_LAYER] = rows.loc[rows["representation"] == UNTRAINED, "p_lead"].max()
    return leads


def margin(compared: DataFrame) -> Estimate:
    """The lead over the best reference: its mean over networks, then over tasks.

    Tasks share no samples, so the interval is over them.
    """
    references = compared[compared["representation"] != PUBLISHED]
    # The smallest lead is that over the best reference.
    least = references.groupby(["task", "network"], sort=False)["lead"].min()
    return mean_interval(least.groupby("task", sort=False).mean())


def _holm(p: dict[Comparison, float]) -> dict[Comparison, float]:
    return dict(zip(p, holm(list(p.values())).tolist(), strict=True))


def _notes(table: DataFrame, images: DataFrame) -> list[str]:
    last = images[images["decides"]]
    wide = (images["width"] >= images["n"]).sum()
    untrained = images[images["representation"] == UNTRAINED]
    highest = untrained.groupby([*PAIR, "seed"])["area"].max().mean()
    rises = _highest_is_last(table[table["network"] != TEXTS])
    return [
        f"mean area over ‖y‖²√n, last layers: {_means(last, 'area')}",
        f"that of {PERMUTED}: {_means(last, 'null')}",
        "mean kernel–target alignment, centred, which no common mean of rows changes: "
        f"{_means(last, 'kernel_alignment')}",
        f"mean area of the highest layer of untrained networks: {highest:.3f}",
        f"the last layer is the network's highest in {sum(rises)} of {len(rises)} cases",
        f"{wide} of {len(images)} compared representations have width d ≥ n, where A(0⁺) = ‖y‖² "
        "whatever they are; the area weighs each share of y with σ/√n",
        "BatchNorms of untrained networks have the statistics of the first 50 samples",
        "intervals are of samples (jackknife over ten groups); the deciding effect's is over tasks",
    ]


def _of_texts(config: Config, texts: DataFrame) -> str:
    """What the row for language says."""
    if not len(texts):
        return f"there is no row for language: the sentence encoder is not installed ({INSTALL})"
    adjusted = adjusted_p(texts)
    above = sum(p <= config.level for p in adjusted.values())
    means = _means(texts[texts["decides"]], "area")
    return (
        f"{TEXTS} on texts: above in {above} of {len(adjusted)} comparisons; "
        f"mean area of last layers {means}"
    )


def _means(last: DataFrame, value: str) -> str:
    """The mean of each representation, in words."""
    means = last.groupby("representation", sort=False)[value].mean()
    return ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())


def _highest_is_last(table: DataFrame) -> list[bool]:
    """For every published network and task, whether no layer is above the last."""
    published = table[table["representation"] == PUBLISHED]
    highest = published.groupby(PAIR)["area"].idxmax()
    return published.loc[highest, "decides"].tolist()
