from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.emergence.claim import STUDY
from jaxalign.studies.emergence.design import OPTIMIZERS, Config
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.shared.outside import FOLDER
from jaxalign.studies.shared.problems import DIABETES, DIGITS, FASHION

CONFIG = Config(
    problems=(FASHION,),
    architectures=("ReLU MLP",),
    optimizers=("SGD", "Adam"),
    seeds=2,
    num_samples=64,
    side=4,
    steps=4,
)


def made_up(
    rise: dict[str, float], end: float = 0.1, held_out: float = 1.0, in_span: float = 1.0
) -> pd.DataFrame:
    """A table of one architecture and data set; a rise by optimizer, over five seeds.

    Args:
      rise: of the area share, by optimizer.
      end: the last loss, of that of the best constant answer.
      held_out: how many times as large the rise is on held-out rows.
      in_span: share of the targets in the trained layer's span; half of it in the untrained one's.
    """
    rows = [
        {
            "architecture": "ReLU MLP",
            "problem": "digits",
            "optimizer": optimizer,
            "seed": seed,
            "rows": rows,
            "layer": layer,
            "last": layer == "hidden_2",
            "untrained": 0.2 + 0.01 * seed,
            "trained": 0.2 + 0.01 * seed + factor * (gain + 0.001 * seed) * (layer != "input"),
            "in_span_untrained": in_span / 2,
            "in_span_trained": in_span,
            "loss_end": 0.7 * end,
            "loss_constant": 0.7,
        }
        for rows, factor in ((TRAINED_ON, 1), (HELD_OUT, held_out))
        for optimizer, gain in rise.items()
        for layer in ("input", "hidden_1", "hidden_2")
        for seed in range(5)
    ]
    return pd.DataFrame(rows)


def test_the_cells_are_the_design_without_data_that_are_not_there(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    cells = STUDY.cells(Config())
    assert len(cells) == 6 + 6 + 3
    assert {cell["architecture"] for cell in cells if cell["problem"] == DIABETES} == {
        "linear MLP",
        "ReLU MLP",
        "tanh MLP",
    }
    assert len(Config().optimizers) == len(OPTIMIZERS) == 6
    assert {cell["problem"] for cell in cells} == {FASHION, DIGITS, DIABETES}


@pytest.mark.slow
def test_measuring_is_deterministic_and_pairs_the_same_untrained_networks():
    (cell,) = STUDY.cells(CONFIG)
    rows = STUDY.measure(CONFIG, cell)
    assert rows == STUDY.measure(CONFIG, cell)
    assert len(rows) == 2 * 2 * 2 * 4  # rows, optimizers, seeds, layers with the inputs
    assert sum(row["last"] for row in rows) == 2 * 4
    known, held_out = (
        {(r["optimizer"], r["seed"], r["layer"]): r for r in rows if r["rows"] == part}
        for part in (TRAINED_ON, HELD_OUT)
    )
    assert all(known[key]["trained"] != row["trained"] for key, row in held_out.items())
    by = known
    for (optimizer, seed, layer), row in by.items():
        assert 0 < row["untrained"] <= 1
        assert 0 < row["trained"] <= 1
        assert row["untrained"] == by["Adam", seed, layer]["untrained"]
        assert (row["trained"] == row["untrained"]) == (layer == "input")
        if layer != "input" and optimizer == "SGD":
            assert row["trained"] != by["Adam", seed, layer]["trained"]
    assert by["SGD", 0, "hidden_1"]["untrained"] != by["SGD", 1, "hidden_1"]["untrained"]


def test_a_rise_everywhere_is_supported_and_its_size_is_told():
    verdict = STUDY.verdict(Config(), made_up({"SGD": 0.3, "Adam": 0.5}))
    assert (verdict.outcome, verdict.counts()["supported"], verdict.effect.n) == ("supported", 2, 5)
    assert verdict.effect.value == pytest.approx(0.402)


def test_areas_are_shares_of_what_the_span_allows():
    """The larger span, before or after training, divides both."""
    verdict = STUDY.verdict(Config(), made_up({"SGD": 0.1, "Adam": 0.2}, in_span=0.5))
    assert verdict.effect.value == pytest.approx((0.1 + 0.2) / 2 / 0.5 + 0.004)


def test_held_out_rows_decide_nothing_and_are_told():
    verdict = STUDY.verdict(Config(), made_up({"SGD": 0.3, "Adam": 0.1}, held_out=-1.0))
    assert verdict.outcome == "supported"
    assert verdict.notes[0].startswith("the same on rows held out of training: contradicted, -0.2")
    assert verdict.notes[0].count("digits") == 2


def test_what_was_not_at_hand_is_said():
    notes = STUDY.verdict(Config(), made_up({"SGD": 0.3, "Adam": 0.1})).notes
    assert sum("was not at hand" in note for note in notes) == 2


def test_a_fall_is_named_and_what_does_not_move_is_undecided():
    verdict = STUDY.verdict(Config(), made_up({"SGD": -0.1, "Adam": 0.5, "Lion": -0.002}))
    assert verdict.outcome == "supported"
    assert [cell.name for cell in verdict.named("contradicted")] == ["ReLU MLP · digits · SGD"]
    assert [cell.name for cell in verdict.named("undecided")] == ["ReLU MLP · digits · Lion"]
    falls = STUDY.verdict(Config(), made_up({"SGD": -0.1, "Adam": -0.2}))
    assert falls.outcome == "contradicted"


def test_cells_that_did_not_learn_are_left_out_and_named():
    parts = [
        made_up({"Adam": 0.5}),
        made_up({"SGD": -0.1}, end=0.95),
        made_up({"Lion": 0.5}, end=np.nan),
    ]
    table = pd.concat(parts, ignore_index=True)
    verdict = STUDY.verdict(Config(), table)
    assert (verdict.outcome, len(verdict.cells)) == ("supported", 1)
    named = [note for note in verdict.notes if "did not learn" in note]
    assert len(named) == 2
    assert "loss 95% of the best constant answer's" in named[0]
    with pytest.raises(ValueError, match="no network learned"):
        STUDY.verdict(replace(Config(), learned=0.05), table)


def test_the_figure_has_a_panel_a_data_set():
    table = made_up({"SGD": 0.1, "Adam": 0.5})
    figure = STUDY.figure(Config(), pd.concat([table, table.assign(problem="other")]))
    assert [axes.get_title("left") for axes in figure.axes] == ["digits", "other"]
    figure.canvas.draw()


@pytest.mark.parametrize("rises", [{"Adam": 0.5, "SGD": np.nan}, {"SGD": np.nan, "Adam": 0.5}])
def test_the_figure_names_what_diverged(rises):
    figure = STUDY.figure(Config(), pd.concat([made_up({name: rises[name]}) for name in rises]))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts if text.get_text() != "ReLU MLP"] == ["diverged"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["untrained", "trained, on held-out rows", "trained, 95 % interval"]


def test_a_figure_of_what_diverged_alone_is_drawn():
    figure = STUDY.figure(Config(), made_up({"SGD": np.nan}))
    assert not figure.legends
    figure.canvas.draw()
