from collections import OrderedDict
from html.parser import HTMLParser

import numpy as np
import pytest

import jaxalign as ja


@pytest.fixture
def history() -> ja.History:
    """A made-up run of 41 rows: three layers whose curves move outwards, over an input that stays."""
    steps, grid = np.arange(41, dtype=np.int32), np.linspace(0, 10, 32, dtype=np.float32)
    thresholds = np.array([1, 3, 5], np.float32)

    def record(reach: np.ndarray) -> ja.Record:
        def curve(tau):
            return (100 / (1 + np.exp(2 * (tau - reach[:, None])))).astype(np.float32)

        return ja.Record(
            10 * reach.astype(np.float32), curve(thresholds), curve(grid), curve(grid) / 50
        )

    layers = OrderedDict(input=record(np.full(41, 2.0)))
    layers |= {f"hidden_{i}": record(1.5 + i * steps / 20) for i in (1, 2, 3)}
    return ja.History(
        step=steps,
        measured=steps,
        loss=np.exp(-steps / 10).astype(np.float32),
        metrics={"accuracy": np.linspace(0.5, 1, 41, dtype=np.float32)},
        layers=layers,
        thresholds=thresholds,
        grid=grid,
        total=100.0,
    )


@pytest.fixture
def diverged(history) -> ja.History:
    """The same run, NaN in the model's layers from step 20 on."""

    def cut(x):
        x = np.array(x)
        x[20:] = np.nan
        return x

    layers = OrderedDict(
        (name, record if name == "input" else ja.Record(*map(cut, record)))
        for name, record in history.layers.items()
    )
    return history._replace(loss=cut(history.loss), layers=layers)


@pytest.fixture
def seeds(history) -> ja.History:
    """Seven models: the run, with areas, curves and losses of 70 % to 130 %."""
    scale = np.linspace(0.7, 1.3, 7).astype(np.float32)
    return history.map(lambda x: np.moveaxis(np.multiply.outer(scale, x), 0, 1))


@pytest.fixture
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


class Checker(HTMLParser):
    """Collects what a page would load from elsewhere, and tags that are closed without being open,
    or never.
    """

    void = frozenset({"meta", "input", "br", "hr", "img", "link"})

    def __init__(self):
        super().__init__()
        self.open, self.faults = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.void:
            self.open.append(tag)
        if tag != "a":  # which loads nothing
            self.faults += [
                v
                for k, v in attributes
                if k in ("src", "href") and v and not v.startswith(("#", "data:"))
            ]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


@pytest.fixture
def faults():
    """``faults(page)``: what keeps a page from being self-contained and well-formed."""

    def found(text: str) -> list[str]:
        checker = Checker()
        checker.feed(text)
        checker.close()
        return checker.faults + checker.open

    return found
