import io
import threading
from collections import OrderedDict

import numpy as np
import pytest
from rich.console import Console

import jaxalign as ja
from jaxalign.cli.train.progress import TrainingDisplay

STEPS = 40
ROWS = 100


def display_on(console: Console) -> TrainingDisplay:
    return TrainingDisplay(console, STEPS, ROWS, threading.Event())


@pytest.fixture
def part():
    """``part(step, measures)``: one measured row of two layers."""

    def build(step: int, measures: dict[str, np.ndarray]) -> ja.History:
        one = np.array([0.25], np.float32)
        at = np.array([step])
        layers = OrderedDict(input=measures, hidden=measures)
        totals = {name: 100.0 for name in layers}
        return ja.History(at, at, one, {"accuracy": one}, layers, {}, totals)

    return build


@pytest.fixture(params=[True, False], ids=["terminal", "lines"])
def console(request):
    return Console(file=io.StringIO(), force_terminal=request.param, width=100)


def test_shows_loss_and_each_layers_area_moving(part, console):
    with display_on(console) as display:
        display.update(part(0, {"area": np.array([150.0])}))
        display.update(part(STEPS, {"area": np.array([420.0])}))
    printed = console.file.getvalue()
    for expected in ("hidden", "1.50", "4.20", "0.2500"):
        assert expected in printed
    assert f"{STEPS}/{STEPS}" in printed


def test_a_run_that_logs_no_area_shows_the_loss(part, console):
    with display_on(console) as display:
        display.update(part(STEPS, {"rank": np.array([3.0])}))
    assert "0.2500" in console.file.getvalue()
    assert "hidden" not in console.file.getvalue()


def test_several_models_show_the_median_of_those_that_did_not_diverge(console):
    loss = np.array([[0.1, 0.3, np.nan, 0.2]])
    area = np.array([[100.0, 300.0, np.nan, 200.0]])
    at = np.array([STEPS])
    layers = OrderedDict(hidden={"area": area})
    history = ja.History(at, at, loss, {"accuracy": loss}, layers, {}, {"hidden": 100.0})
    with display_on(console) as display:
        display.update(history)
    assert "0.2000" in console.file.getvalue()
    assert "2.00" in console.file.getvalue()


def test_a_diverged_layer_is_shown(part):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with display_on(console) as display:
        display.update(part(1, {"area": np.array([np.nan])}))
    assert "nan" in console.file.getvalue()


def test_says_that_it_is_stopping():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    stopping = threading.Event()
    with TrainingDisplay(console, STEPS, ROWS, stopping):
        stopping.set()
    assert "stopping after this chunk" in console.file.getvalue()
