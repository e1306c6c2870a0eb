"""The study of learning curves: its design, its heads, and its verdict on made-up tables."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.learning import design
from jaxalign.studies.learning.claim import STUDY
from jaxalign.studies.learning.design import (
    BEST,
    INPUTS,
    TRAINED,
    UNTRAINED,
    Config,
    sampling,
)
from jaxalign.studies.learning.heads import fit_heads
from jaxalign.studies.learning.representations import Rows
from jaxalign.studies.learning.tasks import CANCER
from jaxalign.studies.shared.outside import FOLDER, SOURCES
from jaxalign.studies.shared.problems import DIABETES, DIGITS, FASHION

TINY = Config(
    tasks=(DIGITS, DIABETES, SOURCES[0].name),
    networks=("efficientnet-lite0",),
    pool=120,
    known=30,
    sizes=(10, 30, 60),
    ridges=(1e-3, 1.0),
    draws=3,
)


def made_up(miss=0.01, worst=None):
    """Misses of four data sets, a little different in each; of one curve the worst is given."""
    rows = []
    tasks = {FASHION: 300, DIGITS: 300, CANCER: 75, DIABETES: 75}
    for (task, known), representation in product(tasks.items(), (INPUTS, TRAINED)):
        for ridge in ("0.1", BEST):
            for n in (known // 2, known, 2 * known):
                row = {"task": task, "representation": representation, "ridge": ridge, "n": n}
                row |= {"miss": miss + known * 1e-6, "scatter": 0.1, "known": known}
                row |= {"predicted": 1 + miss, "measured": 1.0, "freedom": n / 1000}
                row |= {"low": miss - 0.001, "high": miss + 0.001, "miss_of_left_out": 0.0}
                rows.append(row)
    table = pd.DataFrame(rows)
    if worst is not None:
        is_cell = (table["representation"] == TRAINED) & (table["ridge"] == BEST)
        is_twice = table["n"] == 2 * table["known"]
        table.loc[is_cell & is_twice, "miss"] = worst
    return table


def test_a_network_takes_part_where_its_weights_are_installed(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.delenv(FOLDER, raising=False)
    for published, networks in ((missing, ()), (lambda name: name, TINY.networks)):
        monkeypatch.setattr(design, "published_file", published)
        found = [(cell["task"], cell["representation"]) for cell in STUDY.cells(TINY)]
        # Networks for images are asked about no tables.
        images, tables = ((INPUTS, UNTRAINED, TRAINED, *more) for more in (networks, ()))
        assert found == [*product([DIGITS], images), *product([DIABETES], tables)]


@pytest.mark.parametrize(("rows", "part"), [(1797, 1), (1000, 2), (681, 4), (442, 4), (150, 16)])
def test_small_data_sets_have_a_part_of_all_rows_and_as_many_times_more_draws(rows, part):
    whole, of_rows = sampling(Config(), 10_000), sampling(Config(), rows)
    assert (whole.pool, whole.known, whole.sizes) == (1200, 300, Config().sizes)
    assert (of_rows.pool, of_rows.known) == (1200 // part, 300 // part)
    assert of_rows.draws == part * whole.draws
    assert len(of_rows.sizes) == len(whole.sizes)
    assert of_rows.pool <= 0.75 * rows


@pytest.mark.parametrize("width", [3, 40])
def test_heads_are_the_minimisers(rng, width):
    rows = Rows(rng.standard_normal((30, width)), rng.standard_normal((30, 1)))
    chosen, test = np.arange(12), np.arange(12, 30)
    phi, y = rows.features[chosen], rows.targets[chosen, 0]
    found = fit_heads(rows, chosen, test, np.array([0.1, 2.0]))
    for i, rho in enumerate((0.1, 2.0)):
        inverse = np.linalg.inv(phi.T @ phi + rho * np.eye(width)) @ phi.T
        errors = rows.targets[test, 0] - rows.features[test] @ (inverse @ y)
        np.testing.assert_allclose(found.error[i], (errors**2).mean())
        np.testing.assert_allclose(found.freedom[i], np.trace(phi @ inverse) / 12)
        without = []
        for left in range(12):
            kept = np.delete(chosen, left)
            a = rows.features[kept]
            w = np.linalg.solve(a.T @ a + rho * np.eye(width), a.T @ rows.targets[kept, 0])
            without.append((y[left] - phi[left] @ w) ** 2)
        np.testing.assert_allclose(found.left_out[i], np.mean(without))


@pytest.mark.slow
def test_rows_are_strengths_and_numbers_of_rows():
    pytest.importorskip("sklearn")
    rows = STUDY.measure(TINY, {"task": DIGITS, "representation": INPUTS})
    assert [(row["ridge"], row["n"]) for row in rows] == [
        (ridge, n) for ridge in ("0.001", "1", BEST) for n in TINY.sizes
    ]
    table = pd.DataFrame(rows)
    # 30 rows of rank 30 tell nothing of 60 rows at the smallest strength.
    assert table["miss"].isna().tolist() == [False, False, True, *[False] * 6]
    weak = table[table["ridge"] == "1"]
    assert (weak["miss"].abs() < 0.3).all()
    assert weak["low"].le(weak["miss"]).all()


@pytest.mark.slow
def test_a_network_is_trained_with_the_loss_of_a_regression():
    pytest.importorskip("sklearn")
    config = replace(TINY, steps=3, widths=(8,), sizes=(10,), ridges=())
    (row,) = STUDY.measure(config, {"task": DIABETES, "representation": TRAINED})
    assert row["width"] == 9
    assert np.isfinite(row["measured"])


def test_curves_are_judged_by_their_worst_miss_over_data_sets():
    verdict = STUDY.verdict(Config(), made_up())
    assert (verdict.outcome, verdict.effect.n) == ("supported", 4)
    assert verdict.counts()["supported"] == len(verdict.cells) == 4
    verdict = STUDY.verdict(Config(), made_up(worst=-0.2))
    # One of the four curves of every data set.
    others = 3 * (0.05 - 0.01 - 187.5e-6)
    assert verdict.effect.value == pytest.approx((others + 0.05 - 0.2) / 4)
    (cell,) = verdict.named("contradicted")
    assert cell.name == (
        f"{TRAINED} of 4 data sets, ρ best, misses by -20.0% at most, on {FASHION} at n = 600"
    )
    assert cell.effect.value == pytest.approx(0.05 - 0.2)
    assert verdict.named("supported") == [one for one in verdict.cells if one != cell]


def test_a_miss_in_some_data_sets_leaves_a_cell_undecided():
    table = made_up()
    table.loc[table["task"] == CANCER, "miss"] = 0.15
    verdict = STUDY.verdict(Config(), table)
    assert verdict.counts()["undecided"] == 4
    assert verdict.effect.low < 0 < verdict.effect.high <= 0.05
    assert f"{CANCER} -0.100" in verdict.notes[0]


def test_what_has_no_prediction_is_counted_and_decides_nothing():
    verdict = STUDY.verdict(Config(), made_up(worst=np.nan))
    assert verdict.outcome == "supported"
    assert "100% of 44 points; 4 more have no prediction" in verdict.notes[1]


def test_data_sets_that_are_not_at_hand_are_named():
    notes = STUDY.verdict(Config(), made_up()).notes
    assert [note.split(" was")[0] for note in notes[-len(SOURCES) :]] == [
        source.name for source in SOURCES
    ]


def test_the_figure_has_a_column_per_representation_and_a_row_per_strength():
    figure = STUDY.figure(Config(), made_up())
    assert len(figure.axes) == 2 * (1 + 2)
    figure.canvas.draw()
