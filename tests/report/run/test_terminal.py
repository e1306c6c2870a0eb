import io

import numpy as np
import pytest
from rich.console import Console

from jaxalign.report.run.summary import summarize
from jaxalign.report.run.terminal import summary


def printed(history, config, result, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(summary(summarize(history), config, result))
    return console.file.getvalue()


def test_one_row_per_layer_and_how_far_it_came(history, config):
    text = printed(
        history, config, {"status": "finished", "train_accuracy": 1.0, "test_accuracy": 0.87}
    )
    assert "step 40 of 40 (finished)" in text
    assert "87.0% on test data" in text
    assert "Most aligned by area: hidden_3, the last layer." in text
    for name, measures in history.layers.items():
        row = next(line for line in text.splitlines() if line.startswith(name))
        assert f"{measures['area'][0] / 100:.2f}" in row
        assert f"{measures['area'][-1] / 100:.2f}" in row
        assert f"{measures['alignment'][-1, 1] / 100:.3f}" in row


def test_a_run_without_result_may_still_be_running(history, config):
    assert "step 40 of 40 (running, or killed)" in printed(history, config, {})


@pytest.mark.parametrize("value", [None, 3, 2.5, float("inf"), "x", "x:,", [], {}, [1, None], [{}]])
def test_what_a_user_wrote_into_config_and_result_may_be_anything(history, value):
    names = ("title", "subtitle", "steps", "monitor")
    own = dict.fromkeys(("status", "train_accuracy", "test_accuracy", "steps_per_second"), value)
    assert "hidden_3" in printed(history, dict.fromkeys(names, value), own)


def test_several_seeds_have_intervals(seeds, config):
    accuracies = {"train_accuracy": [0.9] * 7, "test_accuracy": [0.8] * 7}
    text = printed(seeds, config, {"status": "finished", **accuracies})
    low, *_, high = area = np.sort(seeds.layers["hidden_3"]["area"][-1]) / np.float32(100)
    row = next(line for line in text.splitlines() if line.startswith("hidden_3"))
    assert f"{area[3]:.2f} [{low:.1f}, {high:.1f}]" in row
    assert "80.0% [80.0%, 80.0%] on test data" in " ".join(text.split())
    assert "medians of 7 models" in " ".join(text.split())


def test_it_says_where_the_last_layer_stands(best_in_the_middle, config):
    text = printed(best_in_the_middle, config, {})
    assert "Most aligned by area: hidden_2 (0.75); the last layer is hidden_3 (0.55)." in text


def test_without_a_null_there_is_no_column_of_chance(history, without_null, config):
    assert "chance" in printed(history, config, {})
    assert "chance" not in printed(without_null, config, {})


def test_a_users_measures_have_rows_of_their_own(own, config):
    rows = [" ".join(line.split()) for line in printed(own, config, {}, width=80).splitlines()]
    for row in (
        "<b>&\"'$/gain hidden_1 0.25 → 0.5",
        "hidden_2 2 → inf",
        "rank hidden_2 1,234 → 1,274",
        "profile, range over k hidden_3 1 … 4 → 41 … 164",
    ):
        assert row in rows


def test_layers_of_two_monitors_have_their_own_thresholds(two_monitors, config):
    text = printed(two_monitors, config, {})
    assert "A(3)/‖y‖²" in text
    assert "A(1.5)/‖y‖²" in text
    row = next(line for line in text.splitlines() if line.startswith("held_out/hidden_1"))
    held_out = two_monitors.layers["held_out/hidden_1"]
    assert row.split().count("→") == 2
    assert f"{held_out['alignment'][-1, 1] / 100:.3f}" in row


def test_a_run_without_alignment_prints_what_it_has(only_own, config):
    text = printed(only_own, config, {})
    assert "1,234" in text
    assert "A(" not in text


def test_a_run_prints_what_it_can_of_part_of_the_alignment(
    only_areas, only_curves, without_layers, config
):
    assert "0.75" in printed(only_areas, config, {})
    for run in (only_curves, without_layers):
        assert printed(run, config, {}).rstrip().endswith("loss 0.0183")


def test_names_of_layers_are_no_markup(oddly_named, config):
    text = printed(oddly_named, config | {"title": "[/i] against [red]dogs"}, {})
    for name in ("[/i] against [red]dogs", "w$_{1$", r"[/b]\x1b[2J", "_[red]$x$:smile:"):
        assert name in text
