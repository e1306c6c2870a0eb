import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx

from jaxalign.studies.layers.claim import DEEP, DIGITS, FASHION, STUDY, Config
from jaxalign.studies.layers.table import areas, deeper_is_higher, mean_curves
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON, part
from jaxalign.studies.shared.outside import FOLDER
from jaxalign.studies.shared.problems import parts_named

CONFIG = Config(problems=(FASHION,), architectures=("ReLU MLP",), seeds=2, num_samples=64, steps=3)
TAU = np.linspace(0, 1, 5)


def made_up(
    architecture: str, shares: list[float], held_out: list[float] | None = None
) -> pd.DataFrame:
    """A table of one architecture with these shares by layer, the inputs first, over six seeds; on
    held-out rows the same unless given.
    """
    rng = np.random.default_rng(0)
    rows = [
        {
            "architecture": architecture,
            "problem": DIGITS,
            "rows": rows,
            "seed": seed,
            "layer": f"hidden_{position}" if position else "input",
            "position": position,
            "untrained": 0.3 - 0.02 * position,
            "trained": share + 0.002 * rng.standard_normal(),
            "loss_end": 0.1,
            "loss_constant": 0.7,
            **{f"A at {tau:.4f}": float(max(1 - tau / (2 * share), 0)) for tau in TAU},
        }
        for rows, by_layer in ((TRAINED_ON, shares), (HELD_OUT, held_out or shares))
        for position, share in enumerate(by_layer)
        for seed in range(6)
    ]
    return pd.DataFrame(rows)


def two(b: list[float]) -> pd.DataFrame:
    """A table of the architectures A, whose shares rise, and B."""
    return pd.concat([made_up("A", [0.3, 0.2, 0.4, 0.5]), made_up("B", b)], ignore_index=True)


def config(*architectures: str) -> Config:
    return Config(problems=(DIGITS,), architectures=architectures)


def test_the_cells_are_the_design_without_data_that_are_not_there(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    assert len(STUDY.cells(Config())) == 4 * 2
    assert STUDY.cells(config("ReLU MLP")) == [{"architecture": "ReLU MLP", "problem": DIGITS}]


@pytest.mark.slow
def test_measuring_is_deterministic_and_the_area_is_that_of_the_curve():
    (cell,) = STUDY.cells(CONFIG)
    rows = STUDY.measure(CONFIG, cell)
    assert rows == STUDY.measure(CONFIG, cell)
    both = pd.DataFrame(rows)
    assert set(both["rows"]) == {TRAINED_ON, HELD_OUT}
    table = part(both, TRAINED_ON)
    assert areas(table, "trained").shape == (2, 5)
    tau, curves = mean_curves(table)
    assert curves.shape == (6, len(tau))
    assert curves[:, 0] == pytest.approx(1)
    assert np.trapezoid(curves[1:], tau) == pytest.approx(
        areas(table, "trained").mean(axis=0), abs=0.02
    )


def test_areas_that_rise_in_every_cell_are_supported():
    verdict = STUDY.verdict(config("A", "B"), two([0.3, 0.3, 0.4, 0.6]))
    assert (verdict.outcome, verdict.counts()["supported"], verdict.effect.value) == (
        "supported",
        2,
        pytest.approx(1),
    )
    assert verdict.notes[0].startswith("the same on rows held out of training: supported")
    assert verdict.notes[1].startswith("the same networks untrained: -1.00")


def test_held_out_rows_decide_nothing_and_are_told():
    table = made_up("A", [0.3, 0.2, 0.4, 0.5], held_out=[0.3, 0.5, 0.4, 0.2])
    verdict = STUDY.verdict(config("A"), table)
    assert verdict.outcome == "supported"
    assert verdict.notes[0].startswith("the same on rows held out of training: contradicted, -1")


@pytest.mark.slow
def test_of_a_resnet_and_a_transformer_blocks_alone_are_measured():
    problem = parts_named(FASHION, 8, 8).trained_on
    names = []
    for architecture in DEEP[2:]:
        network = nnx.eval_shape(lambda one=architecture: one.build(problem, nnx.Rngs(0)))
        tap = architecture.tap(network)
        names.append(list(jax.eval_shape(tap, nnx.state(network), problem.inputs)[1]))
    assert names == [
        [f"layer{i}.0" for i in range(1, 5)],
        [f"encoder.layers.encoder_layer_{i}" for i in range(4)],
    ]


def test_a_cell_that_falls_is_named():
    verdict = STUDY.verdict(config("A", "B"), two([0.3, 0.6, 0.4, 0.3]))
    assert [cell.name for cell in verdict.named("contradicted")] == ["B · digits"]
    falls = STUDY.verdict(config("B"), made_up("B", [0.3, 0.6, 0.4, 0.3]))
    assert falls.outcome == "contradicted"


def test_curves_that_cross_keep_their_order_up_to_the_crossing():
    curves = np.array([[1.0, 0.8, 0.5, 0.4], [1.0, 0.9, 0.6, 0.3]])
    assert deeper_is_higher(curves, 0.05).tolist() == [True, True, True, False]
    assert deeper_is_higher(curves, 0.7).tolist() == [True, True, False, False]


def test_the_figure_has_areas_and_curves_for_each_architecture():
    figure = STUDY.figure(config("A", "B"), two([0.3, 0.3, 0.4, 0.6]))
    assert [axes.get_title("left") for axes in figure.axes] == ["A\ndigits", "B\ndigits", "", ""]
    figure.canvas.draw()
