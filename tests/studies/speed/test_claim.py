from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.shared.outside import FOLDER
from jaxalign.studies.speed.claim import STUDY, Config
from jaxalign.studies.speed.design import LABELINGS, TEN_CLASSES, TEN_DIGITS
from jaxalign.studies.speed.figure import KINDS
from jaxalign.studies.speed.labelings import SPLITS
from jaxalign.studies.speed.table import (
    NO_NETWORK,
    association,
    of_networks,
)
from jaxalign.studies.speed.ten_classes import Images, drawn

TINY = Config(
    architectures=("linear MLP", "CNN"),
    seeds=1,
    num_samples=40,
    training=5,
    horizon=30,
    ten_classes=(TEN_DIGITS,),
    per_class=2,
    held_out=1,
)
CONFIG = Config(resamples=50, relabellings=999)
CELLS = (("Fashion-MNIST", "linear MLP"), ("digits", "CNN"), ("diabetes", "linear MLP"))
EXACT = {"error": 1e-14, "violations": 0}


def test_cells_are_problems_by_families_that_take_them(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    cells = [tuple(cell.values()) for cell in STUDY.cells(TINY)]
    assert len(cells) == len(set(cells)) == 4 + 1
    assert ("diabetes", "linear MLP") in cells
    assert ("diabetes", "CNN") not in cells
    assert cells[-1] == (TEN_DIGITS, LABELINGS)
    assert len(STUDY.cells(STUDY.sizes["paper"])) == 3 * 3 + 2 * 3 + 2
    assert {name for _, name in (tuple(c.values()) for c in STUDY.cells(STUDY.sizes["small"]))} == {
        *Config().architectures,
        LABELINGS,
    }


def test_data_from_outside_take_part_where_they_are(monkeypatch, tmp_path):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    monkeypatch.setenv(FOLDER, str(tmp_path))
    for size, names in (("small", TEN_CLASSES[:2]), ("medium", TEN_CLASSES)):
        cells = STUDY.cells(STUDY.sizes[size])
        assert tuple(c["problem"] for c in cells if c["architecture"] == LABELINGS) == names


@pytest.mark.slow
def test_measuring_is_deterministic_and_whole():
    cell = STUDY.cells(TINY)[0]
    rows = STUDY.measure(TINY, cell)
    assert rows == STUDY.measure(TINY, cell)
    # Labels × kinds of rows × (inputs, networks × states × layers).
    assert len(rows) == 2 * 2 * (1 + 1 * 2 * 3)
    assert all({**row, **cell} == row for row in rows)
    assert all(row["error"] < 1e-12 and row["violations"] == 0 for row in rows)
    assert all(row["steps"] <= min(row["promised"], row["steps_far"]) for row in rows)
    # What is out of span cannot be learned.
    assert all(row["steps"] <= row["steps_of_total"] for row in rows)
    trained = [row for row in rows if row["state"] == "trained"]
    assert {row["layer"] for row in trained} == {"hidden_1", "hidden_2", "hidden_3"}
    assert {row["network"] for row in trained} == {0}
    for kind in (TRAINED_ON, HELD_OUT):
        true, permuted = (
            [row["area"] for row in rows if (row["rows"], row["labels"]) == (kind, name)]
            for name in ("true", "permuted")
        )
        assert np.mean(true) > np.mean(permuted)
    one, other = (
        {row["area"] for row in rows if row["rows"] == kind} for kind in (TRAINED_ON, HELD_OUT)
    )
    assert one == {row["area_elsewhere"] for row in rows if row["rows"] == HELD_OUT}
    assert not one & other


@pytest.mark.slow
def test_every_split_is_learned_on_every_representation():
    pytest.importorskip("sklearn")
    table = pd.DataFrame(STUDY.measure(TINY, {"problem": TEN_DIGITS, "architecture": LABELINGS}))
    assert len(table) == len(KINDS) * len(SPLITS)
    assert set(table["state"]) == set(KINDS)
    assert (table.groupby("state")["labels"].nunique() == len(SPLITS)).all()
    # σ are those of one Φ.
    assert (table.groupby("state")["largest"].nunique() == 1).all()
    assert table["accuracy"].between(0, 1).all()
    # Chance is a half; a split is learned from two rows a class.
    assert table["accuracy"].mean() > 0.55


def test_draws_are_balanced_and_share_no_image():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 9))
    images = Images(np.arange(90.0)[:, None], labels)
    config = replace(TINY, per_class=2, held_out=1)
    draws = [drawn(config, images, draw) for draw in range(3)]
    for draw in draws:
        assert (np.bincount(draw.labels[:20]) == 2).all()
        assert (np.bincount(draw.labels[20:]) == 1).all()
        np.testing.assert_array_equal(labels[draw.inputs[:, 0].astype(int)], draw.labels)
    assert len({float(x) for draw in draws for x in draw.inputs[:, 0]}) == 90


def made_up(slope: dict[str, float], numbers=EXACT, networks=6):
    """A table in which steps fall (slope > 0), rise or do not depend on the area, by the problem.

    Accuracy rises where steps fall.
    """
    rng = np.random.default_rng(2)

    def row(slope, area, **place):
        noise = rng.uniform(-1, 1) * (5 if slope else 300)
        steps = int(500 - 400 * slope * (area - 0.5) + noise)
        return {
            **place,
            "d": 65,
            "largest": 0.9,
            "area": area,
            "area_elsewhere": area,
            "alignment": area,
            "inside": 0.9,
            "accuracy": 1 - steps / 1001,
            "steps": steps,
            "steps_far": steps,
            "steps_of_total": steps,
            "steps_common": steps,
            "promised": min(2 * steps, 1001),
            **numbers,
        }

    rows = []
    for problem, architecture in CELLS:
        for network in (NO_NETWORK, *range(networks)):
            for layer in range(8 if network != NO_NETWORK else 1):
                area = rng.uniform(0.1, 0.9)
                state = "input" if network == NO_NETWORK else ("untrained", "trained")[layer % 2]
                place = {
                    "problem": problem,
                    "architecture": architecture,
                    "network": network,
                    "state": state,
                    "layer": f"hidden_{layer}",
                }
                for kind in (TRAINED_ON, HELD_OUT):
                    true = row(slope[problem], area, **place, rows=kind, labels="true")
                    permuted = {"labels": "permuted", "area": rng.uniform(0, 0.1), "steps": 1001}
                    rows += [true, {**true, **permuted}]
    for state in KINDS:
        for network in range(2):
            place = {"problem": TEN_DIGITS, "architecture": LABELINGS, "network": network}
            place |= {"state": state, "layer": "last", "rows": TRAINED_ON}
            rows += [
                row(slope[TEN_DIGITS], rng.uniform(0.1, 0.9), **place, labels=split)
                for split in SPLITS
            ]
    return pd.DataFrame(rows)


EVERYWHERE = dict.fromkeys(("Fashion-MNIST", "digits", "diabetes", TEN_DIGITS), 1.0)
# Rows of networks' layers of both kinds, and two outcomes of every kind of representation.
EFFECTS = 3 * 2 + 2 * len(KINDS)


def test_the_claim_is_supported_where_it_is_true():
    verdict = STUDY.verdict(CONFIG, made_up(EVERYWHERE))
    assert verdict.outcome == "supported"
    assert verdict.counts()["supported"] == len(verdict.cells) == EFFECTS + 1
    assert verdict.effect.low > 0.9
    # Networks, and the inputs of each problem.
    assert verdict.effect.n == 3 * 7


@pytest.mark.parametrize(("slope", "outcome"), [(0.0, "undecided"), (-1.0, "contradicted")])
def test_it_is_not_supported_where_steps_do_not_fall(slope, outcome):
    verdict = STUDY.verdict(CONFIG, made_up(dict.fromkeys(EVERYWHERE, slope)))
    assert verdict.outcome == outcome
    assert verdict.counts()["supported"] == 1
    assert len(verdict.named(outcome)) == EFFECTS


def test_a_cell_without_it_is_undecided():
    verdict = STUDY.verdict(CONFIG, made_up({**EVERYWHERE, "digits": 0.0}))
    assert [cell.name for cell in verdict.named("undecided")] == [
        "CNN on digits, rows trained on",
        "CNN on digits, rows held out",
    ]


def test_splits_without_it_are_undecided_and_classes_are_counted():
    verdict = STUDY.verdict(CONFIG, made_up({**EVERYWHERE, TEN_DIGITS: 0.0}))
    undecided = verdict.named("undecided")
    assert len(undecided) == 2 * len(KINDS)
    assert {cell.effect.n for cell in undecided} == {10}
    assert undecided[0].name == "splits of ten digits, input: speed"


@pytest.mark.parametrize(
    "numbers", [{"error": 2e-6, "violations": 0}, {"error": 0.0, "violations": 1}]
)
def test_a_missed_prediction_is_named(numbers):
    verdict = STUDY.verdict(CONFIG, made_up(EVERYWHERE, numbers))
    (cell,) = verdict.named("contradicted")
    assert cell.name.startswith("loss and bound as predicted")


def test_where_nothing_is_reached_no_correlation_is_made_up():
    table = made_up(EVERYWHERE).assign(steps=1001, steps_far=1001)
    assert association(of_networks(table)) is None
    verdict = STUDY.verdict(CONFIG, table)
    assert verdict.outcome == "undecided"
    # The accuracy of heads is known all the same.
    assert verdict.counts()["undecided"] == EFFECTS - len(KINDS)


def test_the_same_inputs_are_drawn_at_once():
    """Inputs stand in the table once a family: copies of one representation must not narrow the
    interval.
    """
    table = made_up(EVERYWHERE)
    table = of_networks(table)
    table = table[table["problem"] == "digits"]
    inputs = table[table["network"] == NO_NETWORK]
    copies = [inputs.assign(architecture=f"family {i}") for i in range(50)]
    before = association(table, resamples=300)
    after = association(pd.concat([table, *copies]), resamples=300)
    assert after.low <= before.low + 0.05


def test_figure_draws():
    table = made_up({**EVERYWHERE, "digits": 0.0})
    drawn = STUDY.figure(CONFIG, table)
    drawn.canvas.draw()
    part = table[table["architecture"] != LABELINGS]
    assert len(STUDY.figure(CONFIG, part).axes) == 2
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [
        "A point\na representation",
        "More aligned,\nfewer steps: ρ > 0",
        "A point an even\nsplit of ten digits",
        "One representation,\nall even splits: ρ > 0",
    ]
