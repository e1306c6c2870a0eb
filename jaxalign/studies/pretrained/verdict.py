"""The verdict on pretrained networks: whether they are above every reference, over tasks."""

from collections.abc import Iterator, Sequence
from functools import partial

from pandas import DataFrame

from jaxalign.models._sentences import INSTALL
from jaxalign.statistics import Interval, least, mean_interval
from jaxalign.studies.framework.verdict import Judged, Verdict, in_words, judged, outcome_of
from jaxalign.studies.pretrained.choice import Layers, chosen_layers
from jaxalign.studies.pretrained.design import AT, DECIDING, PUBLISHED, Config
from jaxalign.studies.pretrained.leads import BEST, LAST, compared_values, leads, of_layer, ways
from jaxalign.studies.pretrained.natural import SOURCES
from jaxalign.studies.pretrained.tasks import FAR, NATURAL, TEXT
from jaxalign.studies.shared.outside import PHOTOS, left_out


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether both measures are above the best reference, of the last and of the best layers.

    Natural images decide; where none are at hand, what is far from them is judged, and the verdict
    says so.
    """
    layers = chosen_layers()
    compared = leads(table, layers)
    kind = NATURAL if NATURAL in set(compared["kind"]) else FAR
    deciding = compared[compared["kind"] == kind]
    overall = over_tasks(deciding, ["layers", "measure"])
    cells = judged(over_tasks(deciding, ["network", "layers", "measure"]), level=config.level)
    return Verdict(
        least(list(overall.values()), confidence=1 - config.level),
        f"lead over the best reference on {kind}, the least of "
        f"{' and '.join(DECIDING.values())} in last and in best layers, mean of networks",
        "tasks, which share no image",
        cells,
        [
            _freedom(cells),
            *_by_comparison(overall, config.level),
            *_means(table[table["kind"] == kind], layers),
            *_of_far(compared, kind),
            *_heads(table[table["kind"] == kind], layers),
            *_of_texts(compared),
            *left_out(_measured(table), SOURCES),
            "the best layers were chosen on the odd classes (choice.json), the even ones are "
            "measured here; of the untrained networks the highest seed is the reference",
            "BatchNorms of untrained networks have the statistics of the first 50 samples",
        ],
    )


def over_tasks(compared: DataFrame, by: list[str]) -> dict[str, Interval]:
    """Name of a comparison → the mean lead of networks, then over tasks, as an interval."""
    effects: dict[str, Interval] = {}
    for names, rows in compared.groupby(by, sort=False):
        words = [DECIDING.get(name, name) for name in names]
        per_task = rows.groupby("task", sort=False)["lead"].mean()
        effects[", ".join(words)] = partial(mean_interval, per_task, within=(-1, 1))
    return effects


def _freedom(cells: Sequence[Judged]) -> str:
    """What few tasks leave open."""
    tasks = cells[0].effect.n
    undecided = [cell.name for cell in cells if cell.outcome == "undecided"]
    return (
        f"{tasks} tasks leave {tasks - 1} degrees of freedom; undecided are "
        f"{'; '.join(undecided) or 'no cells'}"
    )


def _by_comparison(overall: dict[str, Interval], level: float) -> Iterator[str]:
    for name, interval in overall.items():
        effect = interval(confidence=1 - level)
        yield f"{name}, lead over the best reference: {outcome_of(effect)}, {in_words(effect)}"


def _means(table: DataFrame, layers: Layers) -> Iterator[str]:
    """What is compared, in figures; the raw area, which a common mean of rows uses up, too."""
    chance = table.loc[table["last"], "at_by_chance"].mean()
    for measure, words in {**DECIDING, "area": "area over ‖y‖²√n, which decides nothing"}.items():
        for way in (LAST, BEST):
            values = [
                compared_values(rows, layers, way, measure)
                for _, rows in table.groupby(["network", "task"], sort=False)
                if way in ways(rows, layers)
            ]
            means = DataFrame(values).mean()
            yield (
                f"means of {words}, {way}: "
                f"{', '.join(f'{name} {mean:.3f}' for name, mean in means.items())}"
            )
    yield f"by chance {DECIDING[AT]} of the last layers is {chance:.3f}"


def _of_far(compared: DataFrame, kind: str) -> Iterator[str]:
    """The row of tasks that are far from what the networks were trained on."""
    if kind == FAR:
        yield (
            "these tasks are far from what the networks were trained on, so they do not decide the "
            "claim, which is about natural images"
        )
        return
    far = over_tasks(compared[compared["kind"] == FAR], ["layers", "measure"])
    for name, interval in far.items():
        effect = interval(confidence=0.95)
        yield (
            f"far from what it was trained on (Fashion-MNIST, digits), {name}: "
            f"{in_words(effect)} over {effect.n} tasks"
        )


def _heads(table: DataFrame, layers: Layers) -> Iterator[str]:
    """Why a last layer can be low: of many classes it spreads a group over many directions."""
    sources = table["task"].str.extract(r"\((.*)\)$")[0].fillna("all tasks")
    for (network, source), rows in table.groupby(["network", sources], sort=False):
        parts = []
        for way in ways(rows, layers):
            layer = of_layer(rows, layers, way, PUBLISHED, AT)
            mean = layer[[AT, "half_at", "mean_share", "participation"]].mean()
            parts.append(
                f"{layer['layer'].iloc[0]} ({way}) {mean[AT]:.2f}, half of ‖y‖² at "
                f"τ = {mean['half_at']:.2f}√n, {mean['participation']:.0f} directions "
                f"(participation ratio) beside the mean, which has {mean['mean_share']:.2f} of the "
                "energy"
            )
        yield f"{network} on {source}, {DECIDING[AT]}: {'; '.join(parts)}"
    if PHOTOS.name in set(sources):
        last = table[(table["representation"] == PUBLISHED) & table["last"]]
        lowest = last.loc[last[AT].idxmin()]
        yield (
            "a last layer is made to separate all classes: a group of many classes, as of photos, "
            "is spread over many directions there; where there are the most, they are under the "
            f"threshold: {lowest['network']} on {lowest['task']!r} has {lowest[AT]:.2f} at 0.15√n "
            f"and {lowest['at_0.05']:.2f} at 0.05√n"
        )


def _of_texts(compared: DataFrame) -> Iterator[str]:
    """What the row for language says."""
    texts = compared[compared["kind"] == TEXT]
    if not len(texts):
        yield f"there is no row for language: the sentence encoder is not installed ({INSTALL})"
    for (network, measure), rows in texts.groupby(["network", "measure"], sort=False):
        each = ", ".join(f"{lead:.2f}" for lead in rows["lead"])
        yield f"{network} on texts, {DECIDING[measure]}, lead over the best reference: {each}"


def _measured(table: DataFrame) -> list[str]:
    """Which of the sources are among the tasks."""
    tasks = table["task"].unique()
    return [
        source.name
        for source in SOURCES
        if any(task.endswith(f"({source.name})") for task in tasks)
    ]
