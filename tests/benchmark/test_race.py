import os
import re

import numpy as np
import pytest

from jaxalign.benchmark import race as module
from jaxalign.benchmark.problem import Errors, Shape, example
from jaxalign.benchmark.race import Lane, Times, race
from jaxalign.benchmark.results import picture, summarize, table
from jaxalign.benchmark.solvers import COPY, GEMM, JAX, NUMPY, OURS, PRODUCTS


@pytest.fixture
def times():
    """Ours twice as fast as numpy on one core and four times at its best; one solver failed."""
    wrong = Errors(1e-5, 1e-9, 1e-8)
    return {
        OURS: Times({"1 core": [1.0, 1.0, 9.0], "2 cores": [0.5, 0.5, 4.5]}, wrong),
        NUMPY: Times({"1 core": [2.0, 2.0, 18.0], "2 cores": [3.0, 3.0, 27.0]}, wrong),
        "torch svd": Times({}, None, "RuntimeError: no memory"),
        GEMM: Times({"1 core": [0.5, 0.5, 4.5], "2 cores": [0.25, 0.25, 2.25]}),
    }


def test_ratios_are_medians_within_rounds_each_at_its_best(times):
    result = summarize(Shape(1000, 100), times)
    ours = result["solvers"][OURS]
    assert result["reference"] == NUMPY
    assert ours["best"] == "2 cores"
    assert ours["seconds"] == {"1 core": 1.0, "2 cores": 0.5}
    assert ours["speedup"] == 4
    assert ours["time_over_gemm"] == 2
    assert ours["one_core"] == {"speedup": 2.0, "time_over_gemm": 2.0}
    assert ours["matrices_per_second"] == 2
    assert ours["gflops"] == pytest.approx(2 * 1000 * 100**2 * 1e-9 / 0.5)
    assert ours["roofline"] == 0.25
    assert "roofline" not in result["solvers"][GEMM]
    assert ours["errors"] == {"sigma_min": 1e-5, "curve": 1e-9, "area": 1e-8}
    assert result["solvers"]["torch svd"] == {"failure": "RuntimeError: no memory"}


def test_the_roofline_is_that_of_the_memory_where_it_takes_longer(times):
    times[COPY] = Times({"1 core": [0.5, 0.5, 4.5], "2 cores": [0.4, 0.4, 3.6]})
    assert summarize(Shape(1000, 2), times)["solvers"][OURS]["roofline"] == 0.4


def test_without_numpy_the_reference_is_jax(times):
    times[JAX] = times.pop(NUMPY)
    assert summarize(Shape(1000, 100), times)["reference"] == JAX


def test_table_and_picture_hold_every_solver(times):
    result = summarize(Shape(1000, 100, 8), times)
    made = table(result)
    names = list(made.columns[0].cells)
    assert names == [OURS, NUMPY, GEMM]  # fastest first, products last
    assert made.caption == "torch svd: RuntimeError: no memory"
    figure = picture([result, summarize(Shape(50, 5), times)], "cpu")
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == [
        "8×1000×100",
        "50×5",
    ]
    first = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines[1:]]
    assert first == [(1e-9, 4.0), (1e-9, 1.0)]


@pytest.mark.slow
def test_a_race_times_checks_and_traces_everyone(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "ROUNDS", (3, 3))
    told = []
    found = race(Shape(60, 5), [Lane(1, 1)], 0.0, told.append, tmp_path)
    assert {OURS, NUMPY, JAX, GEMM} <= set(found)
    for name, times in found.items():
        assert times.failure is None, name
        assert len(times.seconds["1 core"]) == 3
        assert min(times.seconds["1 core"]) > 0
        assert (times.errors is None) == (name.split(",")[0] in PRODUCTS)
    assert found[OURS].errors.curve < 1e-6
    assert any("round 3" in text for text in told)
    (trace,) = tmp_path.rglob("*.xplane.pb")
    assert trace.relative_to(tmp_path).parts[0] == "60×5-1 core"
    content = trace.read_bytes()
    assert all(name.encode() in content for name in found)


@pytest.mark.slow
def test_a_process_that_ends_fails_its_call_and_is_replaced(tmp_path):
    """A racer that runs out of memory takes its process with it, not the race."""
    files = [tmp_path / "features.npy", tmp_path / "targets.npy"]
    for file, content in zip(files, example(Shape(30, 3)), strict=True):
        np.save(file, content)
    environment = dict(os.environ)
    with module._Runner(Lane(1, 1), Shape(30, 3), files) as runner:
        assert OURS in runner.ask("names")
        runner._process.kill()
        with pytest.raises(RuntimeError, match="ended its process"):
            runner.ask("time", NUMPY)
        assert runner.ask("time", NUMPY) > 0
        with pytest.raises(RuntimeError, match="KeyError: 'nobody'"):
            runner.ask("time", "nobody")
    assert not runner._process.is_alive()
    assert dict(os.environ) == environment


def test_a_failure_in_a_round_takes_the_solver_out_of_the_lane():
    times = Times({"1 core": [1.0], "2 cores": [1.0]})
    with module._failing(times, "1 core"):
        raise RuntimeError("no memory")
    assert times == Times({"2 cores": [1.0]}, None, "no memory")


def test_lanes_say_what_they_use():
    assert [str(lane) for lane in (Lane(1, 1), Lane(2, 2), Lane(2, 1), Lane(None, 1))] == [
        "1 core",
        "2 cores",
        "2 cores, BLAS on 1",
        "device",
    ]
    assert re.fullmatch(r"cpu|.+", module.device_here().kind)
