import io
import threading

import numpy as np
import pytest
from rich.console import Console

import jaxalign as ja
from jaxalign.cli.train.progress import TrainingDisplay

STEPS = 40


@pytest.fixture
def part():
    def build(step: int, area: float) -> ja.History:
        record = ja.Record(
            *(np.full((1, *shape), area, np.float32) for shape in ((), (2,), (8,), (8,)))
        )
        grid = np.linspace(0, 10, 8, dtype=np.float32)
        one = np.array([0.25], np.float32)
        at, layers = np.array([step]), {"input": record, "hidden": record}
        return ja.History(at, at, one, {"accuracy": one}, layers, grid[:2], grid, 100.0)

    return build


@pytest.mark.parametrize("terminal", [True, False])
def test_shows_loss_and_each_layers_area_moving(part, terminal):
    console, stopping = (
        Console(file=io.StringIO(), force_terminal=terminal, width=100),
        threading.Event(),
    )
    with TrainingDisplay(console, STEPS, stopping) as display:
        display.update(part(0, 150.0))
        display.update(part(STEPS, 420.0))
    printed = console.file.getvalue()
    for expected in ("hidden", "1.50", "4.20", "0.2500"):
        assert expected in printed
    assert f"{STEPS}/{STEPS}" in printed


def test_a_diverged_layer_is_shown(part):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with TrainingDisplay(console, STEPS, threading.Event()) as display:
        display.update(part(1, np.nan))
    assert "nan" in console.file.getvalue()


def test_says_that_it_is_stopping():
    console, stopping = (
        Console(file=io.StringIO(), force_terminal=True, width=100),
        threading.Event(),
    )
    with TrainingDisplay(console, STEPS, stopping):
        stopping.set()
    assert "stopping after this chunk" in console.file.getvalue()
