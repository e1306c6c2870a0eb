import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.speed.claim import STUDY, Config
from jaxalign.studies.speed.table import NO_NETWORK, association

TINY = Config(architectures=("linear MLP", "CNN"), seeds=1, num_samples=40, training=5, horizon=30)
CONFIG = Config(resamples=50)
CELLS = (("Fashion-MNIST", "linear MLP"), ("digits", "CNN"), ("diabetes", "linear MLP"))
EXACT = {"error": 1e-14, "violations": 0}


def test_cells_are_problems_by_families_that_take_them():
    cells = [tuple(cell.values()) for cell in STUDY.cells(TINY)]
    assert len(cells) == len(set(cells)) == 4
    assert ("diabetes", "linear MLP") in cells
    assert ("diabetes", "CNN") not in cells
    assert len(STUDY.cells(STUDY.sizes["paper"])) == 3 * 3 + 2 * 3
    assert {
        name for _, name in (tuple(c.values()) for c in STUDY.cells(STUDY.sizes["small"]))
    } == set(Config().architectures)


@pytest.mark.slow
def test_measuring_is_deterministic_and_whole():
    cell = STUDY.cells(TINY)[0]
    rows = STUDY.measure(TINY, cell)
    assert rows == STUDY.measure(TINY, cell)
    assert len(rows) == 2 * (1 + 1 * 2 * 3)  # labels × (inputs, networks × states × layers)
    assert all({**row, **cell} == row for row in rows)
    assert all(row["error"] < 1e-12 and row["violations"] == 0 for row in rows)
    assert all(
        row["reached"] == (row["steps"] <= TINY.horizon) and row["steps"] <= row["promised"]
        for row in rows
    )
    trained = [row for row in rows if row["state"] == "trained"]
    assert {row["layer"] for row in trained} == {"hidden_1", "hidden_2", "hidden_3"}
    assert {row["network"] for row in trained} == {0}
    true, permuted = (
        [row["area"] for row in rows if row["labels"] == name] for name in ("true", "permuted")
    )
    assert np.mean(true) > np.mean(permuted)


def made_up(slope: dict[str, float], numbers=EXACT, networks=6):
    """A table in which steps fall (slope > 0), rise or do not depend on the area, by the cell's
    family.
    """
    rng, rows = np.random.default_rng(1), []
    for problem, architecture in CELLS:
        for network in (NO_NETWORK, *range(networks)):
            for layer in range(8 if network != NO_NETWORK else 1):
                area = rng.uniform(0.1, 0.9)
                noise = rng.uniform(-1, 1) * (5 if slope[problem] else 300)
                steps = int(500 - 400 * slope[problem] * (area - 0.5) + noise)
                state = "input" if network == NO_NETWORK else ("untrained", "trained")[layer % 2]
                for labels in ("true", "permuted"):
                    true = labels == "true"
                    late = {"steps": steps if true else 1001, "reached": true}
                    rows.append(
                        {
                            "problem": problem,
                            "architecture": architecture,
                            "network": network,
                            "state": state,
                            "layer": f"hidden_{layer}",
                            "labels": labels,
                            "d": 65,
                            "largest": 0.9,
                            "area": area if true else rng.uniform(0, 0.1),
                            "alignment": area if true else 0.01 * layer,
                            "inside": 0.9,
                            "steps_far": late["steps"],
                            "reached_far": true,
                            "steps_common": late["steps"],
                            "reached_common": true,
                            "promised": min(2 * late["steps"], 1001),
                            **late,
                            **numbers,
                        }
                    )
    return pd.DataFrame(rows)


EVERYWHERE = dict.fromkeys(("Fashion-MNIST", "digits", "diabetes"), 1.0)


def test_the_claim_is_supported_where_it_is_true():
    verdict = STUDY.verdict(CONFIG, made_up(EVERYWHERE))
    assert verdict.outcome == "supported"
    assert verdict.counts()["supported"] == len(verdict.cells) == 3 + 1
    assert verdict.effect.low > 0.9
    # Networks, and the inputs of each problem.
    assert verdict.effect.n == 3 * 7


@pytest.mark.parametrize(("slope", "outcome"), [(0.0, "undecided"), (-1.0, "contradicted")])
def test_it_is_not_supported_where_steps_do_not_fall(slope, outcome):
    verdict = STUDY.verdict(CONFIG, made_up(dict.fromkeys(EVERYWHERE, slope)))
    assert verdict.outcome == outcome
    assert verdict.counts()["supported"] == 1
    assert len(verdict.named(outcome)) == 3


def test_a_cell_without_it_is_undecided():
    verdict = STUDY.verdict(CONFIG, made_up({**EVERYWHERE, "digits": 0.0}))
    assert [cell.name for cell in verdict.named("undecided")] == ["CNN on digits"]


@pytest.mark.parametrize(
    "numbers", [{"error": 2e-6, "violations": 0}, {"error": 0.0, "violations": 1}]
)
def test_a_missed_prediction_is_named(numbers):
    verdict = STUDY.verdict(CONFIG, made_up(EVERYWHERE, numbers))
    (cell,) = verdict.named("contradicted")
    assert cell.name.startswith("loss and bound as predicted")


def test_where_nothing_is_reached_no_correlation_is_made_up():
    table = made_up(EVERYWHERE).assign(steps=1001, steps_far=1001, reached=False)
    assert association(table) is None
    verdict = STUDY.verdict(CONFIG, table)
    assert verdict.outcome == "undecided"
    assert verdict.counts()["undecided"] == 3


def test_the_same_inputs_are_drawn_at_once():
    """Inputs stand in the table once a family: copies of one representation must not narrow the
    interval.
    """
    table = made_up(EVERYWHERE)
    table = table[(table["labels"] == "true") & (table["problem"] == "digits")]
    inputs = table[table["network"] == NO_NETWORK]
    copies = [inputs.assign(architecture=f"family {i}") for i in range(50)]
    before = association(table, resamples=300)
    after = association(pd.concat([table, *copies]), resamples=300)
    assert after.low <= before.low + 0.05


def test_figure_draws():
    drawn = STUDY.figure(CONFIG, made_up({**EVERYWHERE, "digits": 0.0}))
    drawn.canvas.draw()
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [
        "A point a representation",
        "More aligned, fewer steps: ρ > 0",
    ]
