import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import pytest

from jaxalign.cli.main import main

SMALL = ["--num-samples", "200", "--width", "16", "--depth", "2", "--monitor-size", "100"]


class Trained(NamedTuple):
    folder: Path
    printed: str


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Options of a run that takes a second."""
    return SMALL


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Trained:
    """A finished run of 30 steps with seed 3, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(["train", *SMALL, "--steps", "30", "--seed", "3", "--out", str(folder)]) == 0
    return Trained(folder, output.getvalue())


@pytest.fixture
def undrawn(monkeypatch):
    """No pictures and no page of a run, which take longer than the run itself."""
    monkeypatch.setattr("jaxalign.cli.train.runs._write_report", lambda folder, *_: folder)
