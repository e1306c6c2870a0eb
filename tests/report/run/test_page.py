import json
import re

import numpy as np

from jaxalign.report.run.figures import all_figures
from jaxalign.report.run.page import page

FINISHED = {
    "status": "finished",
    "train_accuracy": 1.0,
    "test_accuracy": 0.87,
    "steps_per_second": 150.0,
}


def make(history, config, result=FINISHED):
    return page(history, all_figures(history), config, result)


def test_self_contained_and_well_formed(history, config, faults):
    assert faults(make(history, config)) == []


def test_names_are_escaped(history, config):
    text = make(history, config)
    assert "Cats against &lt;dogs&gt;" in text
    assert "<dogs>" not in text
    assert "A note &amp; more." in text


def test_tells_the_numbers_of_the_run(history, config):
    text = make(history, config)
    before, after = history.layers["hidden_3"].alignment[[0, -1], 1] / 100
    assert (
        f"Before training, {before:.1%} of the labels" in text
        or f"Before training, {before:.0%} of the labels" in text
    )
    assert f"→ {after:.1%}" in text or f"→ {after:.0%}" in text
    assert "every layer is more aligned than the one before it" in text
    assert 'class="warning"' not in text


def test_says_so_when_depth_does_not_help(history, config):
    layers = history.layers.copy()
    layers["hidden_2"], layers["hidden_3"] = layers["hidden_3"], layers["hidden_2"]
    text = make(history._replace(layers=layers), config)
    assert "not every layer is above the one before it: hidden_3 under hidden_2" in text


def test_unfinished_and_diverged_runs_say_so(history, diverged, config):
    assert "This run did not finish: it came to step 40." in make(
        history, config, {"status": "interrupted"}
    )
    text = make(diverged, config)
    assert "not finite from step 20 on: the run diverged" in text
    assert "the trained layers cannot be compared" in text
    assert "Then the run diverged." in text
    assert ">nan" not in text


def test_frames_hold_the_curves_as_strict_json(diverged, config):
    raw = re.search(
        r'<script type="application/json" id="data">(.*?)</script>',
        make(diverged, config),
        re.DOTALL,
    )[1]
    frames = json.loads(
        raw, parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(name))
    )
    assert [layer["name"] for layer in frames["layers"]] == list(diverged.layers)
    assert frames["steps"][0] == 0
    assert frames["steps"][-1] == 40
    last = frames["layers"][-1]["curves"]
    assert set(last[-1]) == {None}
    np.testing.assert_allclose(last[0], diverged.layers["hidden_3"].curve[0] / 100, atol=1e-3)


def test_of_several_seeds_it_tells_medians_and_intervals(seeds, config):
    result = {
        **FINISHED,
        "train_accuracy": [1.0] * 7,
        "test_accuracy": [0.8, 0.81, 0.82, 0.87, 0.9, 0.91, 0.92],
    }
    text = make(seeds, config, result)
    assert "Medians of 7 models" in text
    assert "100% · 87%" in text
    assert "bands their 95 % intervals" in text
    low, *_, high = area = np.sort(seeds.layers["hidden_3"].area[-1]) / np.float32(100)
    assert f"{area[3]:.2f} [{low:.2f}, {high:.2f}]" in text
    assert "one seed" not in text
    cut = seeds.map(np.array)
    cut.loss[20:, [2, 5]] = np.nan
    assert "2 of 7 models diverged (counted from 0: 2, 5)" in make(cut, config, result)
