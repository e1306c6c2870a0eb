import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.depth.claim import DIGITS, FASHION, STUDY, Config

CONFIG = Config(
    problems=(FASHION,), labels=("real",), depths=(2,), seeds=2, num_samples=64, steps=3
)
CELL = {"problem": FASHION, "labels": "real", "depth": 2}


def made_up(shares: dict[int, float], problem: str = DIGITS, labels: str = "real") -> pd.DataFrame:
    """A table of networks whose last layer has a share by depth, over six seeds."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "problem": problem,
            "labels": labels,
            "depth": depth,
            "seed": seed,
            "layer": f"hidden_{position}" if position else "input",
            "position": position,
            "untrained": 0.2 / (1 + position),
            "trained": share * position / depth + 0.002 * rng.standard_normal(),
            "loss_start": 0.7,
            "loss_end": 0.1,
        }
        for depth, share in shares.items()
        for position in range(depth + 1)
        for seed in range(6)
    ]
    return pd.DataFrame(rows)


def config(*depths: int, problems=(DIGITS,), labels=("real",)) -> Config:
    return Config(problems=problems, labels=labels, depths=depths)


def test_the_cells_are_the_design():
    cells = STUDY.cells(Config())
    assert len(cells) == len({tuple(cell.values()) for cell in cells}) == 2 * 2 * 6


@pytest.fixture(scope="module")
def rows():
    return STUDY.measure(CONFIG, CELL)


@pytest.mark.slow
def test_measuring_is_deterministic(rows):
    assert rows == STUDY.measure(CONFIG, CELL)


@pytest.mark.slow
def test_rows_are_layers_and_seeds_and_random_labels_are_others(rows):
    assert STUDY.cells(CONFIG) == [CELL]
    assert [row["position"] for row in rows] == [0, 0, 1, 1, 2, 2]
    random = STUDY.measure(CONFIG, {**CELL, "labels": "random"})
    assert random[0]["untrained"] < rows[0]["untrained"]


def test_a_rise_with_depth_is_supported_at_every_step():
    verdict = STUDY.verdict(config(1, 2, 4), made_up({1: 0.3, 2: 0.4, 4: 0.5}))
    assert (verdict.outcome, verdict.counts()["supported"]) == ("supported", 2)
    assert verdict.effect.value == pytest.approx(1)
    assert verdict.effect.high <= 1
    assert verdict.effect.n == 6


def test_a_fall_after_a_rise_is_named():
    verdict = STUDY.verdict(config(1, 2, 3, 4), made_up({1: 0.2, 2: 0.4, 3: 0.6, 4: 0.5}))
    assert verdict.outcome == "supported"
    assert [cell.name for cell in verdict.named("contradicted")] == ["digits, from depth 3 to 4"]


def test_a_fall_is_contradicted():
    verdict = STUDY.verdict(config(1, 2, 4), made_up({1: 0.5, 2: 0.4, 4: 0.3}))
    assert verdict.outcome == "contradicted"


def test_the_figure_has_a_panel_a_data_set():
    shares = {1: 0.3, 2: 0.4, 4: 0.5}
    parts = [made_up(shares), made_up(shares, labels="random"), made_up(shares, problem="other")]
    figure = STUDY.figure(config(1, 2, 4), pd.concat(parts))
    assert [axes.get_title("left") for axes in figure.axes] == ["digits", "other"]
    figure.canvas.draw()
