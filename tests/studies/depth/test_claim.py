from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.depth.claim import STUDY
from jaxalign.studies.depth.design import Config
from jaxalign.studies.depth.measurement import at_level
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.shared.outside import FOLDER
from jaxalign.studies.shared.problems import DIGITS, FASHION

CONFIG = Config(
    problems=(FASHION,),
    labels=("real",),
    depths=(2,),
    seeds=2,
    num_samples=64,
    side=4,
    steps=4,
    every=2,
    loss=0.99,
)
CELL = {"problem": FASHION, "labels": "real", "depth": 2}


def made_up(
    shares: dict[int, float],
    at_loss: dict[int, float] | None = None,
    problem: str = DIGITS,
    labels: str = "real",
    held_out: float = 0.5,
) -> pd.DataFrame:
    """A table of networks whose last layer has a share by depth, over six seeds.

    At equal loss it is the same unless given; on held-out rows, so many times as large.
    """
    rng = np.random.default_rng(0)
    rows = [
        {
            "problem": problem,
            "labels": labels,
            "depth": depth,
            "rows": rows,
            "seed": seed,
            "layer": f"hidden_{position}" if position else "input",
            "position": position,
            "untrained": 0.2 / (1 + position),
            "trained": factor * share * position / depth + noise,
            "at_loss": factor * (at_loss or shares)[depth] * position / depth + noise,
            "steps_to_loss": 100.0 / depth,
            "loss_end": 0.1,
            "loss_constant": 0.7,
        }
        for rows, factor in ((TRAINED_ON, 1), (HELD_OUT, held_out))
        for depth, share in shares.items()
        for position in range(depth + 1)
        for seed in range(6)
        for noise in (0.002 * rng.standard_normal(),)
    ]
    return pd.DataFrame(rows)


def config(*depths: int, problems=(DIGITS,), labels=("real",)) -> Config:
    return Config(problems=problems, labels=labels, depths=depths)


def test_the_cells_are_the_design_without_data_that_are_not_there(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    cells = STUDY.cells(Config())
    assert len(cells) == len({tuple(cell.values()) for cell in cells}) == 2 * 2 * 6
    assert STUDY.cells(CONFIG) == [CELL]


@pytest.mark.slow
def test_layers_are_measured_before_after_and_where_the_loss_comes_down():
    table = pd.DataFrame(STUDY.measure(CONFIG, CELL))
    assert len(table) == 2 * 3 * 2  # rows, layers, seeds
    assert table["position"].tolist() == [0, 0, 1, 1, 2, 2] * 2
    inputs = table["layer"] == "input"
    assert (table["untrained"] == table["trained"])[inputs].all()
    assert (table["untrained"] != table["trained"])[~inputs].all()
    reached = table[table["at_loss"].notna()]
    assert reached["steps_to_loss"].between(0, 4).all()
    low = reached[["untrained", "trained"]].min(axis=1)
    assert (reached["at_loss"] >= 0.9 * low).all()
    known, held_out = (part for _, part in table.groupby("rows"))
    assert (known["trained"].to_numpy() != held_out["trained"].to_numpy()).all()


def test_a_value_at_a_loss_lies_between_its_measurements():
    loss = np.array([[0.3, 1.0, 1.0, np.nan], [0.2, 0.5, 0.9, np.nan], [0.1, 0.8, 0.8, np.nan]])
    values = np.broadcast_to(np.arange(3.0)[:, None], loss.shape)
    expected = [0, 0.8, np.nan, np.nan]
    np.testing.assert_allclose(at_level(values, loss, 0.6), expected)


def test_a_rise_with_depth_is_supported_at_every_step():
    verdict = STUDY.verdict(config(1, 2, 4), made_up({1: 0.3, 2: 0.4, 4: 0.5}))
    assert (verdict.outcome, verdict.counts()["supported"]) == ("supported", 2 * 2)
    assert verdict.effect.value == pytest.approx(1)
    assert verdict.effect.high <= 1
    assert verdict.effect.n == 6


def test_a_rise_that_is_only_one_of_speed_is_not_supported():
    table = made_up({1: 0.3, 2: 0.4, 4: 0.5}, at_loss={1: 0.5, 2: 0.4, 4: 0.3})
    verdict = STUDY.verdict(config(1, 2, 4), table)
    assert verdict.outcome == "contradicted"
    assert [cell.name for cell in verdict.named("contradicted")] == [
        "digits, at equal training loss, from depth 1 to 2",
        "digits, at equal training loss, from depth 2 to 4",
    ]


def test_held_out_rows_decide_nothing_and_are_told():
    shares = {1: 0.3, 2: 0.4, 4: 0.5}
    verdict = STUDY.verdict(config(1, 2, 4), made_up(shares, held_out=-0.5))
    assert verdict.outcome == "supported"
    assert verdict.notes[0].startswith("the same on rows held out of training: contradicted, -1")


def test_a_depth_that_did_not_come_down_to_the_loss_is_left_out_there():
    table = made_up({1: 0.3, 2: 0.4, 4: 0.5})
    late = (table["depth"] == 1) & (table["seed"] == 0)
    verdict = STUDY.verdict(config(1, 2, 4), table.assign(at_loss=table["at_loss"].mask(late)))
    assert [cell.name for cell in verdict.cells if "loss" in cell.name] == [
        "digits, at equal training loss, from depth 2 to 4"
    ]
    with pytest.raises(ValueError, match="take more steps"):
        STUDY.verdict(config(1, 2, 4), table.assign(at_loss=np.nan))


def test_what_hardly_learned_and_what_was_not_at_hand_is_named():
    table = made_up({1: 0.3, 2: 0.4})
    slow = table.assign(loss_end=table["loss_end"].mask(table["depth"] == 1, 0.65))
    notes = STUDY.verdict(replace(config(1, 2), problems=(DIGITS, "CIFAR-10")), slow).notes
    assert any("hardly learned at depth 1 (93%)" in note for note in notes)
    assert notes[-1].startswith("CIFAR-10 was not at hand")


def test_the_figure_has_a_panel_a_data_set():
    shares = {1: 0.3, 2: 0.4, 4: 0.5}
    parts = [made_up(shares), made_up(shares, labels="random"), made_up(shares, problem="other")]
    figure = STUDY.figure(config(1, 2, 4), pd.concat(parts))
    assert [axes.get_title("left") for axes in figure.axes] == ["digits", "other"]
    figure.canvas.draw()
