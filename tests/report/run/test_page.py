import html
import json
import re
from collections import OrderedDict

import numpy as np
import pytest

from jaxalign.report.run.figures import all_figures
from jaxalign.report.run.health import warnings
from jaxalign.report.run.seen import seen
from jaxalign.report.run.summary import summarize
from jaxalign.report.run.terminal import summary as terminal_summary
from jaxalign.style.html import percent

FINISHED = {"status": "finished"}


def table_of(text: str) -> dict[str, list[str]]:
    """The cells of every layer in all tables, by its name."""
    cells = {}
    for row in re.findall(r"<tr[^>]*>(<td>.*?)</tr>", text):
        name, *others = (html.unescape(cell) for cell in re.findall("<td>(.*?)</td>", row))
        cells.setdefault(name, []).extend(others)
    return cells


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("history", "seeds", "own", "without_null", "two_monitors", "diverged"),
        *("only_own", "without_layers"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("only_areas", "only_curves")),
    ],
)
def test_self_contained_and_well_formed(page_of, faults, request, name):
    text = page_of(request.getfixturevalue(name))
    assert faults(text) == []
    assert "Undefined" not in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.slow
def test_names_are_escaped(history, page_of):
    text = page_of(history)
    assert "Cats against &lt;dogs&gt;" in text
    assert "<dogs>" not in text
    assert "A note &amp; more." in text


def test_tells_the_numbers_of_the_run(history, page_of):
    text = page_of(history)
    before, after = history.layers["hidden_3"]["alignment"][[0, -1], 1] / 100
    assert f"Before training, {percent(before)} of the targets" in text
    assert f"→ {percent(after)}" in text
    assert "every layer is more aligned than the one before it" in text
    assert 'class="warning"' not in text


def test_the_table_has_both_ends_and_chance_of_every_layer(history, page_of):
    rows = table_of(page_of(history))
    assert list(rows) == list(history.layers)
    for name, measures in history.layers.items():
        chance = np.interp(3, history.coordinates[name]["curve"]["tau"], measures["null_curve"][-1])
        shares = [percent(x / 100) for x in (*measures["alignment"][[0, -1], 1], chance)]
        areas = (*measures["area"][[0, -1]], measures["null_area"][-1])
        assert rows[name] == [*shares, *(f"{area / 100:.2f}" for area in areas)]


@pytest.mark.slow
def test_without_a_null_nothing_is_said_of_chance(without_null, page_of):
    text = page_of(without_null)
    assert "by chance" not in text
    assert {len(cells) for cells in table_of(text).values()} == {4}


@pytest.mark.slow
def test_a_layer_without_a_null_has_a_blank(own, page_of):
    rows = table_of(page_of(own))
    assert rows["input"][2] == rows["input"][5] == "–"
    assert rows["hidden_1"][2] != "–"


@pytest.mark.slow
def test_a_users_measures_are_in_the_table(own, page_of):
    text = page_of(own)
    rows = table_of(text)
    assert rows["hidden_1"][6:] == ["0.25", "0.5", "–", "–", "–", "–"]
    assert rows["hidden_2"][6:] == ["2", "inf", "1,234", "1,274", "–", "–"]
    assert rows["hidden_3"][6:] == ["–", "–", "–", "–", "1 … 4", "41 … 164"]
    assert "&lt;b&gt;&amp;&#34;&#39;$/gain</th>" in text
    assert "<b>&" not in text
    assert "profile, range over k</th>" in text
    assert "axes that are not drawn: bare" in text


def test_a_run_without_alignment_tells_what_it_has(only_own, page_of):
    text = page_of(only_own)
    assert "Measured in hidden_1: rank." in text
    assert table_of(text) == {"hidden_1": ["1,234", "1,274"]}
    assert "τ" not in text


@pytest.mark.slow
def test_a_run_tells_what_it_can_of_part_of_the_alignment(
    only_areas, only_curves, without_layers, page_of
):
    area = "The most aligned layer in the end is hidden_3: its area is 0.15 before training"
    assert area in page_of(only_areas)
    curves = page_of(only_curves)
    assert "Measured in input, hidden_1, hidden_2, hidden_3: curve." in curves
    assert "In numbers" not in curves
    assert "The loss over 40 steps; no layer was measured." in page_of(without_layers)


@pytest.mark.slow
def test_says_so_when_depth_does_not_help(best_in_the_middle, page_of):
    text = page_of(best_in_the_middle)
    assert "not every layer is above the one before it: hidden_3 under hidden_2" in text
    assert "of hidden_2, in the end the most aligned" in text
    assert "The last layer, hidden_3, went from" in text
    assert '<tr class="headline"><td>hidden_2</td>' in text


@pytest.mark.slow
def test_unfinished_and_diverged_runs_say_so(history, diverged, page_of):
    unfinished = page_of(history, {"status": "interrupted"})
    assert "This run did not finish: it came to step 40." in unfinished
    text = page_of(diverged)
    assert "not finite from step 20 on: the run diverged" in text
    assert "the trained layers cannot be compared" in text
    assert "of hidden_3, the most aligned until the run diverged." in text
    assert ">nan" not in text


def test_frames_hold_the_curves_as_strict_json(diverged, page_of):
    raw = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page_of(diverged), re.DOTALL
    )[1]
    frames = json.loads(
        raw, parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(name))
    )
    assert [layer["name"] for layer in frames["layers"]] == list(diverged.layers)
    assert frames["steps"][0] == 0
    assert frames["steps"][-1] == 40
    last = frames["layers"][-1]["curves"]
    assert set(last[-1]) == {None}
    np.testing.assert_allclose(last[0], diverged.layers["hidden_3"]["curve"][0] / 100, atol=1e-3)


@pytest.mark.slow
def test_of_several_seeds_it_tells_medians_and_intervals(seeds, page_of):
    result = {
        "status": "finished",
        "train_accuracy": [1.0] * 7,
        "test_accuracy": [0.8, 0.81, 0.82, 0.87, 0.9, 0.91, 0.92],
    }
    text = page_of(seeds, result)
    assert "Medians of 7 models" in text
    assert "100% · 87%" in text
    assert "bands their 95\u00a0% intervals" in text
    low, *_, high = area = np.sort(seeds.layers["hidden_3"]["area"][-1]) / np.float32(100)
    assert f"{area[3]:.2f} [{low:.2f}, {high:.2f}]" in text
    assert "one seed" not in text
    cut = seeds.map(np.array)
    cut.loss[20:, [2, 5]] = np.nan
    assert "2 of 7 models diverged (counted from 0: 2, 5)" in page_of(cut, result)


def test_a_dead_layer_and_a_loss_that_grew_are_said_at_the_top(history, page_of):
    layers = history.layers.copy()
    measures = {key: np.array(values) for key, values in layers["hidden_3"].items()}
    measures["area"][12:] = measures["null_area"][12:]
    layers["hidden_3"] = type(history.layers["hidden_3"])(measures)
    run = summarize(history._replace(layers=layers, loss=1 + history.step.astype(np.float32)))
    dead, grown = sorted(warnings(run, FINISHED))[::-1]
    assert dead.startswith("hidden_3 gives all samples the same features from step 12 on")
    assert "The loss ends at 36.5, above the 1 that it began with" in grown
    assert not list(warnings(summarize(history), FINISHED))


def test_a_run_that_diverged_speaks_of_the_layer_that_was_the_most_aligned(diverged, config):
    run = summarize(diverged)
    assert run.headline == "hidden_3"
    printed = terminal_summary(run, config, FINISHED)
    assert "until the run diverged: hidden_3." in str([*printed.renderables])
    assert "the run diverged. Try a smaller step size." in str([*printed.renderables])


def test_every_picture_says_what_is_seen(own):
    run = summarize(own)
    words = {name: seen(run, name) for name in all_figures(run)}
    assert "hidden_3 from 0.15 to 0.75" in words["alignment_by_step"]
    assert "hidden_3 goes from" in words["curve_by_layer"]
    assert "Half of the targets is left up to σ =" in words["threshold_heat_map"]
    assert "rank" in words["measures_by_step"]
    assert "profile" in words["measures_by_coordinate"]


WRAPPER = """<!doctype html><body><iframe id="page" style="width:390px;height:800px" src="{page}">
</iframe><script>
const told = {{}};
onload = () => {{
  const inside = document.getElementById("page").contentDocument;
  const [slider, play, step] = ["frame", "play", "step"].map(id => inside.getElementById(id));
  const say = when => told[when] = [play.textContent, step.textContent, slider.value];
  const {{ scrollWidth, clientWidth }} = inside.documentElement;
  told.overhang = scrollWidth - clientWidth;
  say("before"); play.click(); say("pressed");
  const timer = setInterval(() => {{
    if (play.textContent === "Pause") return;
    say("after"); clearInterval(timer);
    document.body.dataset.told = JSON.stringify(told);
  }}, 50);
}};
</script></body>"""


@pytest.mark.slow
def test_play_moves_the_curves_to_the_last_step_on_a_phone(
    history, page_of, tmp_path, told_in_browser
):
    long = "encoder." + "a_long_name_" * 15
    names = {name: name if name == "input" else long + name for name in history.layers}
    renamed = history._replace(
        layers=OrderedDict((names[name], own) for name, own in history.layers.items()),
        coordinates={names[name]: own for name, own in history.coordinates.items()},
        totals={names[name]: total for name, total in history.totals.items()},
    )
    (tmp_path / "page.html").write_text(page_of(renamed), encoding="utf-8")
    assert told_in_browser(WRAPPER.format(page="page.html")) == {
        "overhang": 0,
        "before": ["Play", "step 40", "40"],
        "pressed": ["Pause", "step 0", "0"],
        "after": ["Play", "step 40", "40"],
    }
