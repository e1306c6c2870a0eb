"""The study of learning curves: its design, its heads, and its verdict on made-up tables."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.learning import design
from jaxalign.studies.learning.claim import STUDY
from jaxalign.studies.learning.design import (
    BEST,
    DIGITS,
    FASHION,
    PIXELS,
    TRAINED,
    UNTRAINED,
    Config,
)
from jaxalign.studies.learning.heads import fit_heads
from jaxalign.studies.learning.representations import Rows

TINY = Config(
    tasks=(DIGITS,),
    networks=("efficientnet-lite0",),
    pool=120,
    known=30,
    sizes=(10, 30, 60),
    ridges=(1e-3, 1.0),
    draws=3,
)


def made_up(miss=0.01, worst=None):
    rows = []
    for task, representation in product((FASHION, DIGITS), (PIXELS, TRAINED)):
        for ridge in ("0.1", BEST):
            for n in (150, 300, 600):
                row = {"task": task, "representation": representation, "ridge": ridge, "n": n}
                row |= {"predicted": 1 + miss, "measured": 1.0, "miss": miss, "scatter": 0.1}
                row |= {"low": miss - 0.001, "high": miss + 0.001}
                row |= {"freedom": n / 1000, "miss_of_left_out": 0.0}
                rows.append(row)
    table = pd.DataFrame(rows)
    if worst is not None:
        ends = [worst, worst - 0.01, worst + 0.01]
        table.loc[len(table) - 1, ["miss", "low", "high"]] = ends
    return table


def test_a_network_takes_part_where_its_weights_are_installed(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    for published, networks in ((missing, ()), (lambda name: name, TINY.networks)):
        monkeypatch.setattr(design, "published_file", published)
        found = {(cell["task"], cell["representation"]) for cell in STUDY.cells(TINY)}
        assert found == {(DIGITS, name) for name in (PIXELS, UNTRAINED, TRAINED, *networks)}


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
    rows = STUDY.measure(TINY, {"task": DIGITS, "representation": PIXELS})
    assert [(row["ridge"], row["n"]) for row in rows] == [
        (ridge, n) for ridge in ("0.001", "1", BEST) for n in TINY.sizes
    ]
    table = pd.DataFrame(rows)
    # 30 rows of rank 30 tell nothing of 60 rows at the smallest strength.
    assert table["miss"].isna().tolist() == [False, False, True, *[False] * 6]
    weak = table[table["ridge"] == "1"]
    assert (weak["miss"].abs() < 0.3).all()
    assert weak["low"].le(weak["miss"]).all()


def test_curves_are_judged_by_their_worst_miss():
    verdict = STUDY.verdict(Config(), made_up())
    assert (verdict.outcome, verdict.counts()["supported"], len(verdict.cells)) == (
        "supported",
        8,
        8,
    )
    verdict = STUDY.verdict(Config(), made_up(worst=-0.2))
    (cell,) = verdict.named("contradicted")
    assert cell.name == f"{TRAINED} of {DIGITS}, ρ best, misses by -20.0% at n = 600"
    assert cell.effect.value == pytest.approx(0.05 - 0.2)
    (cell,) = STUDY.verdict(Config(), made_up(worst=0.055)).named("undecided")
    assert cell.effect.low < 0 < cell.effect.high


def test_what_has_no_prediction_is_counted_and_decides_nothing():
    verdict = STUDY.verdict(Config(), made_up(worst=np.nan))
    assert verdict.outcome == "supported"
    assert "100% of 23 points; 1 more have no prediction" in verdict.notes[0]


def test_the_figure_has_a_panel_per_representation():
    figure = STUDY.figure(Config(), made_up())
    assert len(figure.axes) == 4
    figure.canvas.draw()
