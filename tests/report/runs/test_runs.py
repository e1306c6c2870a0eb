"""Several runs side by side."""

import io
from collections import OrderedDict
from html import unescape

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxalign.report.run.summary import summarize
from jaxalign.report.runs.differences import differences
from jaxalign.report.runs.page import runs_page
from jaxalign.report.runs.read import NamedRun
from jaxalign.report.runs.terminal import differences_table
from jaxalign.statistics import mean_difference, paired_effect


def run(history, name="a", *, seed=None, **monitor) -> NamedRun:
    config = {"title": f"<run {name}>", "monitor": {"size": 100, **monitor}}
    if seed is not None:
        config["train"] = {"seed": seed, "seeds": history.models, "width": 3}
    return NamedRun(name, summarize(history), config, {})


def cut(history, last: int, every: int = 1):
    """The run up to a step, measured at every so many steps."""
    rows = jax.tree.map(lambda x: x[: last + 1], (history.step, history.loss, history.metrics))
    layers = jax.tree.map(lambda x: x[: last + 1 : every], history.layers)
    return history._replace(
        step=rows[0], loss=rows[1], metrics=rows[2], measured=rows[0][::every], layers=layers
    )


def row_of(found, layer, name="area/‖y‖²"):
    return next(row for row in found.rows if (row.layer, row.quantity.name) == (layer, name))


def areas(history, layer, step) -> np.ndarray:
    return history.layers[layer]["area"][step].astype(float) / history.totals[layer]


def test_runs_are_compared_at_the_last_step_that_all_of_them_measured(history):
    found = differences([run(history), run(cut(history, 36, every=7), "b")])
    row = row_of(found, "hidden_2")
    assert row.step == 35
    np.testing.assert_allclose(row.means, [areas(history, "hidden_2", 35)] * 2)
    assert row.differences[0].value == 0
    assert np.isnan(row.differences[0].low)


def test_curves_that_are_kept_less_often_have_a_common_step_of_their_own(history):
    layers = OrderedDict(
        (name, OrderedDict((m, x if x.ndim == 1 else x[::6]) for m, x in logged.items()))
        for name, logged in history.layers.items()
    )
    rare = history._replace(layers=layers, array_steps=history.measured[::6])
    found = differences([run(history), run(rare, "b")])
    assert row_of(found, "hidden_1").step == 40
    assert row_of(found, "hidden_1", "A(3)/‖y‖²").step == 36


def test_the_same_seeds_are_compared_seed_by_seed(seeds):
    better = seeds.map(lambda x: x * np.float32(1.1))
    found = differences([run(seeds, seed=3), run(better, "b", seed=3)])
    expected = paired_effect(areas(better, "hidden_3", -1), areas(seeds, "hidden_3", -1)).difference
    np.testing.assert_allclose(row_of(found, "hidden_3").differences[0], expected, rtol=1e-12)
    assert any("seed by seed" in note for note in found.notes)


def test_other_seeds_are_compared_by_their_means(seeds):
    fewer = seeds.of([0, 2, 3, 6])
    found = differences([run(seeds, seed=3), run(fewer, "b", seed=4)])
    expected = mean_difference(areas(fewer, "hidden_3", -1), areas(seeds, "hidden_3", -1))
    np.testing.assert_allclose(row_of(found, "hidden_3").differences[0], expected, rtol=1e-12)
    assert "seed: 3 | 4" in found.notes
    assert any("Welch" in note for note in found.notes)


def test_a_config_of_ones_own_may_hold_anything(history):
    own = NamedRun("own", summarize(history), {"train": "by hand", "monitor": 3, "title": 4}, {})
    assert row_of(differences([run(history), own]), "hidden_3").differences[0].value == 0
    assert (own.title, own.seeds) == ("", ())
    odd = run(history, sha256=["a"])
    assert differences([odd, odd]).rows


def test_what_some_runs_lack_is_named(history):
    layers = {name: logged for name, logged in history.layers.items() if name != "hidden_2"}
    assert "and left out: hidden_2 of a." in " ".join(
        differences([run(history), run(history._replace(layers=layers), "b")]).notes
    )
    taus = {layer: {"alignment": {"tau": np.array([1.5])}} for layer in history.layers}
    other = run(history._replace(coordinates={**history.coordinates, **taus}), "b")
    assert any("A(τ) is left out" in note for note in differences([run(history), other]).notes)
    assert not any("left out" in note for note in differences([run(history)] * 2).notes)


def test_models_that_diverged_are_left_out(seeds):
    broken = jax.tree.map(np.array, seeds.layers)
    for logged in broken.values():
        logged["area"][30:, 2] = np.nan
    found = differences([run(seeds), run(seeds._replace(layers=broken), "b")])
    kept = areas(seeds, "hidden_3", -1)[[0, 1, 3, 4, 5, 6]]
    assert row_of(found, "hidden_3").means[1] == pytest.approx(kept.mean())
    assert any("1 models of b diverged" in note for note in found.notes)


def test_a_run_that_diverged_has_nan_and_no_interval(history, diverged):
    difference = row_of(differences([run(history), run(diverged, "b")]), "hidden_3").differences[0]
    assert np.isnan(difference.value)


def test_measures_of_a_user_are_compared_where_they_are_numbers(own):
    found = differences([run(own), run(own, "b")])
    names = {(row.quantity.name, row.layer) for row in found.rows}
    assert ("rank", "hidden_2") in names
    assert not {"profile", "bare", "curve", "null_area"} & {name for name, _ in names}


def test_what_cannot_be_compared_is_refused_by_name(history):
    for name, before, after in (("size", 100, 50), ("centered", False, True)):
        runs = [run(history, **{name: before}), run(history, "b", **{name: after})]
        with pytest.raises(ValueError, match=f"b cannot be compared with a: monitor {name} is"):
            differences(runs)
    renamed = OrderedDict((f"x_{name}", logged) for name, logged in history.layers.items())
    totals = dict.fromkeys(renamed, 100.0)
    others = [history._replace(layers=renamed, coordinates={}, totals=totals)]
    others += [history._replace(layers=OrderedDict())]
    for other in others:
        with pytest.raises(ValueError, match=r"no measure of a layer in common.*name runs"):
            differences([run(history), run(other, "b")])


def test_the_page_and_the_table_show_every_run_and_every_number(seeds, history):
    histories = [
        h._replace(layers={"hidden_3": h.layers["hidden_3"]})
        for h in (seeds, history, cut(history, 20))
    ]
    found = differences(list(map(run, histories, ["a/$x$", "<b>", "c"])))
    page = runs_page(found)
    assert "<run" not in page
    text = unescape(page)
    console = Console(file=io.StringIO(), width=200)
    console.print(differences_table(found))
    printed = console.file.getvalue()
    for shown in (text, printed):
        for name in ("a/$x$", "<b>", "hidden_3", "A(3)/‖y‖²", "B − A", "C − A"):
            assert name in shown
        assert f"{row_of(found, 'hidden_3').means[1]:.3g}" in shown
    assert page.count("<svg") == 4  # two pictures, each wide and narrow
