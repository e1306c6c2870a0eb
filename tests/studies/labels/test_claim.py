"""The study of random labels: its design, its table, and what it concludes from tables that were
made up.
"""

import jax
import numpy as np
import pytest

from jaxalign.studies import labels
from jaxalign.studies.framework.study import column, where
from jaxalign.studies.labels.claim import FRESH, OWN, STUDY, TRUTH, LabelsConfig
from jaxalign.studies.shared.networks import mlp

TINY = LabelsConfig(
    pairs=((2, 4),),
    on_pairs=("tiny",),
    on_digits=(),
    samples=48,
    draws=1,
    seeds=2,
    steps=9,
    every=3,
)
CELL = {"problem": "Pullover or Coat", "architecture": "tiny", "labels": "random 1"}


@pytest.fixture(scope="module")
def tables():
    """Rows by the labels trained on, of a network of one small layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "ARCHITECTURES", (mlp("tiny", jax.nn.relu, (6,)),))
        return {
            name: STUDY.measure(TINY, {**CELL, "labels": name}) for name in ("true", "random 1")
        }


def made_up(own=0.4, untrained=0.05, fresh=0.02, kinds=(("p", "a"), ("p", "b")), worse=()):
    """A table of three networks on two permutations and on true labels; in the kinds ``worse``
    nothing was gained.
    """
    draw, rows = np.random.default_rng(0), []
    for kind in kinds:
        after = untrained if kind in worse else own
        for name in ("true", "random 1", "random 2"):
            for seed in range(3):
                row = {
                    "problem": kind[0],
                    "architecture": kind[1],
                    "labels": name,
                    "seed": seed,
                    "chance": 0.1,
                    "loss": 0.7,
                }
                for layer, last in (("input", False), ("hidden", True)):
                    at = {"layer": layer, "depth": int(last), "last": last, "accuracy": 0.9}
                    for step, area in ((0, untrained), (450, after)):
                        values = {OWN: area, FRESH: fresh, TRUTH: area / 2}
                        noise = 0.001 * draw.standard_normal()
                        rows += [
                            {**row, **at, "asked": a, "step": step, "area": v + noise, "at": v}
                            for a, v in values.items()
                        ]
    return rows


def test_every_problem_has_true_labels_and_as_many_permutations_as_asked_for():
    found = STUDY.cells(
        LabelsConfig(pairs=((0, 1),), on_pairs=("x",), on_digits=("x", "y"), draws=2)
    )
    assert len(found) == 3 * 3
    assert {cell["labels"] for cell in found} == {"true", "random 1", "random 2"}
    assert {(cell["problem"], cell["architecture"]) for cell in found} == {
        ("T-shirt or Trouser", "x"),
        ("even or odd digit", "x"),
        ("even or odd digit", "y"),
    }


@pytest.mark.parametrize("size", ["small", "paper"])
def test_every_cell_of_both_sizes_can_be_built(size):
    names = {architecture.name for architecture in labels.ARCHITECTURES}
    assert {cell["architecture"] for cell in STUDY.cells(STUDY.sizes[size])} <= names


def test_random_labels_are_the_true_ones_in_another_order():
    problem = labels.fashion_pair(2, 4, 48)
    first, again, second = (labels._relabelled(problem, draw) for draw in (1, 1, 2))
    assert sorted(first.labels) == sorted(problem.labels)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.labels != second.labels).any()
    np.testing.assert_array_equal(first.targets[:, 0], 2 * first.labels - 1)


def test_rows_are_networks_layers_steps_and_labels(tables):
    rows = tables["random 1"]
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    assert len(rows) == 2 * 2 * (
        4 + 2 * 2
    )  # networks, layers, (steps, (before and after) of two kinds of labels)
    assert set(column(where(rows, {"asked": OWN}), "step")) == {0, 3, 6, 9}
    assert {row["layer"] for row in rows if row["last"]} == {"hidden_1"}
    assert np.isfinite(
        [[row[name] for name in ("area", "at", "chance", "loss", "accuracy")] for row in rows]
    ).all()


def test_networks_of_true_and_random_labels_are_different_ones(tables):
    assert not set(column(tables["true"], "seed")) & set(column(tables["random 1"], "seed"))


@pytest.mark.parametrize("step", [0, 9])
def test_true_labels_have_one_alignment_by_both_routes(tables, step):
    """What training logged of the labels trained on, and what was measured of states afterwards."""
    logged, asked = (where(tables["true"], {"asked": name, "step": step}) for name in (OWN, TRUTH))

    def key(row):
        return (row["seed"], row["layer"])

    for name in ("area", "at", "chance"):
        a, b = ([row[name] for row in sorted(rows, key=key)] for rows in (logged, asked))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_measuring_again_gives_the_same_rows(tables, monkeypatch):
    monkeypatch.setattr(labels, "ARCHITECTURES", (mlp("tiny", jax.nn.relu, (6,)),))
    assert STUDY.measure(TINY, CELL) == tables["random 1"]


def test_the_claim_holds_where_trained_is_above_both():
    verdict = STUDY.verdict(LabelsConfig(), made_up())
    assert (verdict.outcome, verdict.failing, verdict.cells) == ("holds", [], 4)
    assert verdict.effect.low < 0.35 < verdict.effect.high
    assert verdict.effect.n == 12


def test_a_kind_in_which_nothing_is_gained_is_named():
    verdict = STUDY.verdict(LabelsConfig(), made_up(worse=(("p", "b"),)))
    assert verdict.outcome == "holds in part"
    assert verdict.failing == ["b on 'p': not above untrained"]


def test_the_claim_fails_where_labels_never_trained_on_do_as_well():
    verdict = STUDY.verdict(LabelsConfig(), made_up(own=0.05, fresh=0.05))
    assert verdict.outcome == "does not hold"
    assert len(verdict.failing) == 4


def test_the_first_step_at_which_something_was_reached_or_never():
    rows = [
        {"labels": "true", "seed": s, "step": t, "loss": loss}
        for s, t, loss in ((0, 0, 0.7), (0, 5, 0.2), (1, 0, 0.7))
    ]
    assert labels.first_steps(rows, lambda row: row["loss"] < 0.5) == [5, np.inf]


def test_the_figure_has_three_panels_a_kind():
    figure = STUDY.figure(LabelsConfig(), made_up())
    assert len(figure.axes) == 6
    figure.canvas.draw()
