"""The study of random labels: its design, its table, and what it concludes from tables that were
made up.
"""

import jax
import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.labels import measurement
from jaxalign.studies.labels.claim import STUDY
from jaxalign.studies.labels.design import FRESH, OWN, TRUTH, Config, seeds_of
from jaxalign.studies.labels.verdict import first_steps
from jaxalign.studies.shared.networks import ARCHITECTURES, mlp
from jaxalign.studies.shared.problems import fashion_pair, relabelled

TINY = Config(
    pairs=((2, 4),),
    on_pairs=("tiny",),
    on_digits=(),
    num_samples=48,
    draws=1,
    seeds=2,
    steps=9,
    every=3,
)
DRAWS = 4
CELL = {"problem": "Pullover or Coat", "architecture": "tiny", "labels": "random 1"}


@pytest.fixture(scope="module")
def tables():
    """Rows by the labels trained on, of a network of one small layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "ARCHITECTURES", (mlp("tiny", jax.nn.relu, (6,)),))
        return {
            name: STUDY.measure(TINY, {**CELL, "labels": name}) for name in ("true", "random 1")
        }


def made_up(own=0.4, untrained=0.05, fresh=0.02, kinds=(("p", "a"), ("p", "b")), worse=()):
    """A table of three networks on each permutation and on true labels; in the kinds ``worse``
    nothing was gained.
    """
    draw, rows = np.random.default_rng(0), []
    for kind in kinds:
        after = untrained if kind in worse else own
        for name in ("true", *(f"random {i + 1}" for i in range(DRAWS))):
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
    return pd.DataFrame(rows)


def test_every_problem_has_true_labels_and_as_many_permutations_as_asked_for():
    found = STUDY.cells(Config(pairs=((0, 1),), on_pairs=("x",), on_digits=("x", "y"), draws=2))
    assert len(found) == 3 * 3
    assert {cell["labels"] for cell in found} == {"true", "random 1", "random 2"}
    assert {(cell["problem"], cell["architecture"]) for cell in found} == {
        ("T-shirt or Trouser", "x"),
        ("even or odd digit", "x"),
        ("even or odd digit", "y"),
    }


@pytest.mark.parametrize("size", ["small", "paper"])
def test_every_cell_of_both_sizes_can_be_built(size):
    names = {architecture.name for architecture in ARCHITECTURES}
    assert {cell["architecture"] for cell in STUDY.cells(STUDY.sizes[size])} <= names


def test_random_labels_are_the_true_ones_in_another_order():
    problem = fashion_pair(2, 4, 48)
    first, again, second = (relabelled(problem, draw) for draw in (1, 1, 2))
    assert sorted(first.labels) == sorted(problem.labels)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.labels != second.labels).any()
    np.testing.assert_array_equal(first.targets[:, 0], 2 * first.labels - 1)


@pytest.mark.slow
def test_rows_are_networks_layers_steps_and_labels(tables):
    rows = tables["random 1"]
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    # Layers, (steps, (before and after) of two kinds of labels).
    assert len(rows) == 2 * (4 + 2 * 2)
    assert {row["step"] for row in rows if row["asked"] == OWN} == {0, 3, 6, 9}
    assert {row["layer"] for row in rows if row["last"]} == {"hidden_1"}
    assert np.isfinite(
        [[row[name] for name in ("area", "at", "chance", "loss", "accuracy")] for row in rows]
    ).all()


@pytest.mark.slow
def test_networks_of_true_and_random_labels_are_different_ones(tables):
    true, random = ({row["seed"] for row in tables[name]} for name in ("true", "random 1"))
    assert not true & random


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 9])
def test_true_labels_have_one_alignment_by_both_routes(tables, step):
    """What training logged of the labels trained on, and what was measured of states afterwards."""
    table = pd.DataFrame(tables["true"])
    table = table[table["step"] == step].set_index(["seed", "layer"]).sort_index()
    logged, asked = (table[table["asked"] == name] for name in (OWN, TRUTH))
    assert logged.index.equals(asked.index)
    for name in ("area", "at", "chance"):
        np.testing.assert_allclose(logged[name], asked[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_measuring_again_gives_the_same_rows(tables, monkeypatch):
    monkeypatch.setattr(measurement, "ARCHITECTURES", (mlp("tiny", jax.nn.relu, (6,)),))
    assert STUDY.measure(TINY, CELL) == tables["random 1"]


def test_the_claim_is_supported_where_trained_is_above_both():
    verdict = STUDY.verdict(Config(), made_up())
    assert verdict.outcome == "supported"
    assert verdict.counts() == {"supported": 4, "undecided": 0, "contradicted": 0}
    assert verdict.effect.low < 0.35 < verdict.effect.high


def test_permutations_are_counted_not_networks_or_architectures_that_share_them():
    verdict = STUDY.verdict(Config(), made_up())
    assert (verdict.effect.n, verdict.over) == (DRAWS, "permutations of the labels")
    assert {cell.effect.n for cell in verdict.cells} == {DRAWS}
    assert "permutations are the unit; 3 networks are trained on each" in verdict.notes


def test_a_kind_in_which_nothing_is_gained_is_not_supported():
    verdict = STUDY.verdict(Config(), made_up(worse=(("p", "b"),)))
    (cell,) = verdict.named("undecided")
    assert cell.name == "b on 'p', trained − untrained"


def test_the_claim_is_undecided_where_labels_never_trained_on_do_as_well():
    verdict = STUDY.verdict(Config(), made_up(own=0.05, fresh=0.05))
    assert verdict.outcome == "undecided"
    assert verdict.counts()["undecided"] == 4


def test_every_network_of_random_labels_has_a_permutation_and_a_seed_of_its_own():
    config = Config(draws=4, seeds=3)
    seeds = [seeds_of(config, draw) for draw in range(5)]
    assert [len(of_draw) for of_draw in seeds] == [3, 1, 1, 1, 1]
    assert len({seed for of_draw in seeds for seed in of_draw}) == 7


def test_the_first_step_at_which_something_was_reached_or_never():
    rows = [(0, 0, 0.7), (0, 5, 0.2), (1, 0, 0.7)]
    table = pd.DataFrame(rows, columns=["seed", "step", "loss"]).assign(labels="true")
    assert first_steps(table, table["loss"] < 0.5) == [5, np.inf]


def test_the_figure_has_three_panels_a_kind():
    figure = STUDY.figure(Config(), made_up())
    assert len(figure.axes) == 6
    figure.canvas.draw()
