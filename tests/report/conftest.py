import html
import importlib.util
import json
import re
import shutil
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.report.run.page import page
from jaxalign.report.run.summary import summarize

STEPS = np.arange(41, dtype=np.int32)
GRID = np.linspace(0, 10, 32, dtype=np.float32)
THRESHOLDS = np.array([1, 3, 5], np.float32)
AXES = {
    "alignment": {"tau": THRESHOLDS},
    "curve": {"tau": GRID},
    "null_curve": {"tau": GRID},
}
FINISHED = {
    "status": "finished",
    "train_accuracy": 1.0,
    "test_accuracy": 0.87,
    "steps_per_second": 150.0,
}


def measured(reach: np.ndarray) -> OrderedDict[str, np.ndarray]:
    """What a monitor takes by default of a layer with ‖y‖² = 100 whose curve falls at ``reach``."""

    def curve(tau):
        return (100 / (1 + np.exp(2 * (tau - reach[:, None])))).astype(np.float32)

    area = 10 * reach.astype(np.float32)
    return OrderedDict(
        area=area,
        alignment=curve(THRESHOLDS),
        curve=curve(GRID),
        null_area=area / 50,
        null_curve=curve(GRID) / 50,
    )


def run_of(layers, coordinates=None) -> ja.History:
    layers = OrderedDict(layers)
    axes = {
        name: {measure: AXES[measure] for measure in measures if measure in AXES}
        for name, measures in layers.items()
    }
    for name, own in (coordinates or {}).items():
        axes[name] |= own
    return ja.History(
        step=STEPS,
        measured=STEPS,
        loss=np.exp(-STEPS / 10).astype(np.float32),
        metrics={"accuracy": np.linspace(0.5, 1, 41, dtype=np.float32)},
        layers=layers,
        coordinates=axes,
        totals=dict.fromkeys(layers, 100.0),
    )


@pytest.fixture(scope="session")
def history() -> ja.History:
    """A made-up run of 41 rows: three layers whose curves move outwards, an input that stays."""
    layers = {"input": measured(np.full(41, 2.0))}
    layers |= {f"hidden_{i}": measured(1.5 + i * STEPS / 20) for i in (1, 2, 3)}
    return run_of(layers)


@pytest.fixture(scope="session")
def best_in_the_middle(history) -> ja.History:
    """The same run with its last two layers swapped."""
    layers = history.layers.copy()
    layers["hidden_2"], layers["hidden_3"] = layers["hidden_3"], layers["hidden_2"]
    return history._replace(layers=layers)


@pytest.fixture(scope="session")
def diverged(history) -> ja.History:
    """The same run, NaN in the model's layers from step 20 on."""

    def cut(x):
        x = np.array(x)
        x[20:] = np.nan
        return x

    layers = OrderedDict(
        (
            name,
            {measure: values if name == "input" else cut(values) for measure, values in m.items()},
        )
        for name, m in history.layers.items()
    )
    return history._replace(loss=cut(history.loss), layers=layers)


@pytest.fixture(scope="session")
def seeds(history) -> ja.History:
    """Seven models: the run, with areas, curves and losses of 70 % to 130 %."""
    scale = np.linspace(0.7, 1.3, 7).astype(np.float32)
    return history.map(lambda x: np.moveaxis(np.multiply.outer(scale, x), 0, 1))


HOSTILE = "<b>&\"'$/gain"
"""A name for a measure that would do harm wherever it is not escaped."""


@pytest.fixture(scope="session")
def own(history) -> ja.History:
    """The run with measures of a user's own: a number of two layers, an integer and an array of one
    each, and an array whose axis has no name; the input has no null, as of quadrature.
    """
    layers = OrderedDict((name, measures.copy()) for name, measures in history.layers.items())
    del layers["input"]["null_area"], layers["input"]["null_curve"]
    layers["hidden_1"][HOSTILE] = np.linspace(0.25, 0.5, 41)
    layers["hidden_2"][HOSTILE] = np.append(np.linspace(2, 3, 40), np.inf)
    layers["hidden_2"]["rank"] = (STEPS + 1234).astype(np.int32)
    layers["hidden_3"]["profile"] = np.outer(STEPS + 1.0, [1.0, 2.0, 4.0])
    layers["hidden_3"]["bare"] = np.ones((41, 2))
    return run_of(layers, {"hidden_3": {"profile": {"k": np.array([1, 10, 100])}}})


@pytest.fixture(scope="session")
def oddly_named(history) -> ja.History:
    """The run with layers whose names mean something to matplotlib, to rich and to terminals."""
    names = ("input", "w$_{1$", "[/b]\x1b[2J", "_[red]$x$:smile:")
    return run_of(dict(zip(names, history.layers.values(), strict=True)))


@pytest.fixture(scope="session")
def without_null(history) -> ja.History:
    """The run as quadrature logs it."""
    layers = {
        name: OrderedDict((k, v) for k, v in measures.items() if not k.startswith("null"))
        for name, measures in history.layers.items()
    }
    return run_of(layers)


@pytest.fixture(scope="session")
def only_own() -> ja.History:
    """A run that logged a number of one layer, and no alignment."""
    return run_of({"hidden_1": OrderedDict(rank=(STEPS + 1234).astype(np.int32))})


@pytest.fixture(scope="session")
def only_areas(history) -> ja.History:
    return run_of({name: {"area": measures["area"]} for name, measures in history.layers.items()})


@pytest.fixture(scope="session")
def only_curves(history) -> ja.History:
    return run_of({name: {"curve": measures["curve"]} for name, measures in history.layers.items()})


@pytest.fixture(scope="session")
def without_layers() -> ja.History:
    return run_of({})


@pytest.fixture(scope="session")
def two_monitors(history) -> ja.History:
    """The run on a training set and on a held-out one, whose thresholds are others."""
    layers = {f"train/{name}": measures for name, measures in history.layers.items()}
    layers |= {
        f"held_out/{name}": OrderedDict((k, v / 2) for k, v in measures.items())
        for name, measures in history.layers.items()
    }
    other = {"alignment": {"tau": THRESHOLDS / 2}}
    return run_of(layers, {name: other for name in layers if name.startswith("held_out")})


@pytest.fixture(scope="session")
def config() -> dict:
    return {
        "title": "Cats against <dogs>",
        "subtitle": "a network",
        "command": "jaxalign train",
        "steps": 40,
        "recipe": {"network": "MLP"},
        "monitor": {"size": 100, "notes": ["A note & more."]},
        "data": {"source": "somewhere", "sha256": "0123456789abcdef0"},
        "environment": {"device": "1 × cpu", "versions": {"jax": "0.10"}, "started": "2026-01-01"},
    }


@pytest.fixture(scope="session")
def page_of(config):
    """``page_of(history, result)``: the page of a run, made once for all tests."""
    pages = {}

    def make(history: ja.History, result=FINISHED) -> str:
        key = (id(history), str(result))
        if key not in pages:
            pages[key] = page(summarize(history), config, result)
        return pages[key]

    return make


@pytest.fixture(scope="session")
def faults():
    """``faults(page)``: what keeps a page from being self-contained and well-formed."""
    file = Path(__file__).parents[1] / "style" / "page_faults.py"
    spec = importlib.util.spec_from_file_location("page_faults", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.faults


@pytest.fixture
def told_in_browser(tmp_path):
    """``told_in_browser(wrapper)``: what a page says in the ``data-told`` of its body once it has
    run, as JSON; other files of its folder are in ``tmp_path``.
    """
    browsers = map(shutil.which, ("chromium", "google-chrome", "chrome"))
    browser = next(filter(None, browsers), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")

    def told(wrapper: str):
        file = tmp_path / "wrapper.html"
        file.write_text(wrapper, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu"]
        command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--virtual-time-budget=60000", "--dump-dom", file.as_uri()]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return json.loads(html.unescape(re.search(r'data-told="(.*?)"', ended.stdout)[1]))

    return told
