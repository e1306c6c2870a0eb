import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jaxalign as ja
from jaxalign.benchmark.solvers import OURS

ROOT = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def history(monkeypatch):
    """benchmarks/history.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("history")


def test_the_table_has_a_column_for_each_version_in_their_order(history, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    row = {"seconds": {"1 core": 2.0, "2 cores": 1.5}, "time_over_gemm": 3.25}
    content = {
        "results": [{"shape": "10×5", "solvers": {OURS: row}}],
        "environment": {"device": "1 × abacus"},
    }
    (results / "abacus-throughput.json").write_text(json.dumps(content))
    for version in ("0.9.0", "0.10.0"):
        history.record(version, tmp_path, results)
        content["results"][0]["shape"] = "20×5"
        (results / "abacus-throughput.json").write_text(json.dumps(content))
    table = (tmp_path / "README.md").read_text().splitlines()
    assert "| device | n × d, or a batch | 0.9.0 | 0.10.0 |" in table
    assert "| 1 × abacus | 10×5 | 1,500 (3.2) | – |" in table
    assert "| 1 × abacus | 20×5 | – | 1,500 (3.2) |" in table


def test_the_committed_history_has_this_version(history):
    committed = json.loads((ROOT / "history" / f"{ja.__version__}.json").read_text())
    assert committed == history.figures()


@pytest.mark.parametrize("method", ["moments", "svd"])
def test_programs_name_the_route_for_profiles(method):
    def run(x, y):
        return ja.spectrum(x, y, method=method)

    lowered = jax.jit(run).lower(jnp.ones((6, 3)), jnp.ones((6, 1)))
    assert f"jaxalign {method}" in lowered.as_text(debug_info=True)
