from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.emergence.claim import DIABETES, DIGITS, FASHION, OPTIMIZERS, STUDY, Config

CONFIG = Config(
    problems=(FASHION,),
    architectures=("ReLU MLP",),
    optimizers=("SGD", "Adam"),
    seeds=2,
    num_samples=64,
    side=4,
    steps=4,
)


def made_up(rise: dict[str, float], end: float = 0.1) -> pd.DataFrame:
    """A table of one architecture and data set; a rise by optimizer, over five seeds."""
    rows = [
        {
            "architecture": "ReLU MLP",
            "problem": "digits",
            "optimizer": optimizer,
            "seed": seed,
            "layer": layer,
            "last": layer == "hidden_2",
            "untrained": 0.2 + 0.01 * seed,
            "trained": 0.2 + 0.01 * seed + (gain + 0.001 * seed) * (layer != "input"),
            "loss_start": 0.7,
            "loss_end": 0.7 * end,
        }
        for optimizer, gain in rise.items()
        for layer in ("input", "hidden_1", "hidden_2")
        for seed in range(5)
    ]
    return pd.DataFrame(rows)


def test_the_cells_are_the_design():
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
    assert len(rows) == 2 * 2 * 4  # optimizers, seeds, layers with the inputs
    by = {(row["optimizer"], row["seed"], row["layer"]): row for row in rows}
    assert sum(row["last"] for row in rows) == 4
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
    assert sum("did not learn" in note for note in verdict.notes) == 2
    with pytest.raises(ValueError, match="no network learned"):
        STUDY.verdict(replace(Config(), learned=0.05), table)


def test_the_figure_has_a_panel_a_data_set():
    table = made_up({"SGD": 0.1, "Adam": 0.5})
    figure = STUDY.figure(Config(), pd.concat([table, table.assign(problem="other")]))
    assert [axes.get_title("left") for axes in figure.axes] == ["digits", "other"]
    figure.canvas.draw()


def test_the_figure_names_what_diverged():
    table = pd.concat([made_up({"Adam": 0.5}), made_up({"SGD": np.nan})])
    (axes,) = STUDY.figure(Config(), table).axes
    assert [text.get_text() for text in axes.texts if text.get_text() != "ReLU MLP"] == ["diverged"]
