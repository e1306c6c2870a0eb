import re

import numpy as np
import pytest
from matplotlib.text import Text

from jaxalign.report.run.axes import layer_colours
from jaxalign.report.run.figures import (
    alignment_by_step,
    all_figures,
    curve_by_layer,
    threshold_heat_map,
)
from jaxalign.report.run.other_figures import measures_by_coordinate, measures_by_step
from jaxalign.report.run.summary import summarize
from jaxalign.report.run.sweep import sweep


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def title(axes) -> str:
    return axes.get_title(loc="left")


@pytest.fixture(scope="module")
def run(history):
    return summarize(history)


def test_alignment_by_step_draws_the_history(history, run):
    at_threshold, area = alignment_by_step(run).axes
    for name, measures in history.layers.items():
        np.testing.assert_allclose(
            lines(at_threshold)[name].get_ydata(), measures["alignment"][:, 1] / 100
        )
        np.testing.assert_allclose(lines(area)[name].get_ydata(), measures["area"] / 100)
    assert "σ ≥ 3" in title(at_threshold)
    null = history.layers["hidden_3"]["null_area"]
    np.testing.assert_allclose(lines(area)["hidden_3 by chance"].get_ydata(), null / 100)


def test_arrays_that_were_kept_less_often_are_drawn_at_their_steps(history):
    layers = {
        name: {key: x[::4] if x.ndim > 1 else x for key, x in measures.items()}
        for name, measures in history.layers.items()
    }
    run = summarize(history._replace(layers=layers, array_steps=history.measured[::4]))
    at_threshold, area = alignment_by_step(run).axes
    for label in ("hidden_3", "hidden_3 by chance"):
        np.testing.assert_array_equal(lines(at_threshold)[label].get_xdata(), np.arange(0, 41, 4))
        np.testing.assert_array_equal(lines(area)[label].get_xdata(), np.arange(41))
    mesh = threshold_heat_map(run).axes[0].collections[0]
    np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], [*range(0, 41, 4), 41])


def test_curve_by_layer_sets_untrained_beside_trained_input_and_null(history, run):
    panels = curve_by_layer(run).axes
    assert [title(axes) for axes in panels] == ["hidden_1", "hidden_2", "hidden_3"]
    for axes in panels:
        measures, drawn = history.layers[title(axes)], lines(axes)
        curve = measures["curve"]
        np.testing.assert_allclose(drawn["untrained"].get_ydata(), curve[0] / 100)
        np.testing.assert_allclose(drawn["trained"].get_ydata(), curve[-1] / 100)
        np.testing.assert_allclose(drawn["by chance"].get_ydata(), measures["null_curve"][-1] / 100)
        np.testing.assert_allclose(
            drawn["input"].get_ydata(), history.layers["input"]["curve"][0] / 100
        )


def test_names_of_layers_are_no_formulas(oddly_named):
    run = summarize(oddly_named)
    figures = [*all_figures(run).values(), sweep({("adam", 1e-2): run, ("adam", 1e-3): run})]
    for figure in figures:
        texts = [text for text in figure.findobj(Text) if re.search(r"w|b\]|red", text.get_text())]
        assert texts
        assert not any(text._preprocess_math(text.get_text())[1] for text in texts)
    labels = lines(figures[0].axes[0])
    assert {r"w\$_{1\$", r"[/b]\x1b[2J", r" _[red]\$x\$:smile:"} <= set(labels)


def test_curves_are_steps_that_are_continuous_from_the_left(run):
    for line in curve_by_layer(run).axes[0].lines:
        assert line.get_drawstyle() == "steps-pre"


def test_heat_map_is_of_the_most_aligned_layer(history, best_in_the_middle, run):
    for drawn, name in ((run, "hidden_3"), (summarize(best_in_the_middle), "hidden_2")):
        axes = threshold_heat_map(drawn).axes[0]
        # A cell ends at a threshold, whose value it has.
        np.testing.assert_allclose(
            axes.collections[0].get_array(), history.layers["hidden_3"]["curve"].T[1:] / 100
        )
        assert name in title(axes)


def test_the_white_line_of_the_heat_map_is_the_last_threshold_with_half_of_the_labels(run):
    curve = run.shares["hidden_3"]["curve"].value
    grid = run.axis("hidden_3", "curve")
    half = threshold_heat_map(run).axes[0].lines[0].get_ydata()
    for row, tau in zip(curve, half, strict=False):
        assert row[grid <= tau].min() >= 0.5
        assert row[grid > tau].max() < 0.5


def test_a_diverged_step_is_blank_in_the_heat_map(diverged):
    axes = threshold_heat_map(summarize(diverged)).axes[0]
    drawn = axes.collections[0].get_array()
    assert not np.ma.getmaskarray(drawn)[:, :20].any()
    assert np.ma.getmaskarray(drawn)[:, 20:].all()
    assert np.isnan(axes.lines[0].get_ydata()[20:]).all()


def test_each_layer_has_a_colour_of_its_own(history, run):
    assert len(set(layer_colours(run).values())) == len(history.layers)


def shortened(history, rows):
    layers = {
        name: {measure: values[:rows] for measure, values in measures.items()}
        for name, measures in history.layers.items()
    }
    return history._replace(
        step=history.step[:rows],
        measured=history.measured[:rows],
        loss=history.loss[:rows],
        layers=type(history.layers)(layers),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        *(("own", 1), ("own", 41), ("diverged", 41)),
        *(pytest.param("own", rows, marks=pytest.mark.slow) for rows in (2, 11)),
    ],
)
def test_runs_of_any_length_and_diverged_ones_are_drawn(request, tmp_path, name, rows):
    run = shortened(request.getfixturevalue(name), rows)
    for picture, figure in all_figures(summarize(run)).items():
        file = tmp_path / f"{picture}.png"
        figure.savefig(file, dpi=40)
        assert file.stat().st_size > 1000


def test_one_layer_without_input(history):
    alone = history._replace(layers=type(history.layers)(hidden_1=history.layers["hidden_1"]))
    for figure in all_figures(summarize(alone)).values():
        figure.savefig("/dev/null", format="png", dpi=40)


def test_without_a_null_no_line_of_chance_is_drawn(without_null):
    for figure in all_figures(summarize(without_null)).values():
        drawn = [label for axes in figure.axes for label in lines(axes)]
        assert drawn
        assert not any("chance" in label for label in drawn)


def test_a_run_with_measures_of_its_own_has_every_picture(own):
    assert list(all_figures(summarize(own))) == [
        "alignment_by_step",
        "curve_by_layer",
        "threshold_heat_map",
        "measures_by_step",
        "measures_by_coordinate",
    ]


def test_pictures_follow_what_was_logged(
    only_own, only_areas, only_curves, without_layers, without_null
):
    assert list(all_figures(summarize(only_own))) == ["measures_by_step"]
    assert list(all_figures(summarize(only_areas))) == ["alignment_by_step"]
    assert list(all_figures(summarize(only_curves))) == ["curve_by_layer", "threshold_heat_map"]
    assert all_figures(summarize(without_layers)) == {}
    assert not set(all_figures(summarize(without_null))) & {
        "measures_by_step",
        "measures_by_coordinate",
    }


def test_a_users_number_has_a_panel_over_steps(own):
    hostile, rank = measures_by_step(summarize(own)).axes
    assert title(hostile).replace(r"\$", "$") == "<b>&\"'$/gain"
    assert set(lines(hostile)) == {"hidden_1", "hidden_2"}
    np.testing.assert_allclose(
        lines(hostile)["hidden_1"].get_ydata(), np.linspace(0.25, 0.5, 41), rtol=1e-6
    )
    assert title(rank) == "rank"
    np.testing.assert_allclose(lines(rank)["hidden_2"].get_ydata(), own.step + 1234)


def test_a_users_array_has_a_panel_over_its_axis(own):
    (axes,) = measures_by_coordinate(summarize(own)).axes
    assert title(axes) == "profile"
    assert axes.get_xlabel() == "k"
    first, last = axes.lines
    np.testing.assert_allclose(first.get_xdata(), [1, 10, 100])
    np.testing.assert_allclose(first.get_ydata(), [1, 2, 4])
    np.testing.assert_allclose(last.get_ydata(), [41, 82, 164])
    assert last.get_label() == "hidden_3"


def test_each_monitor_has_panels_of_its_own(two_monitors, history):
    run = summarize(two_monitors)
    train, train_area, held_out, held_out_area = alignment_by_step(run).axes
    assert title(train) == "train: Targets along σ ≥ 3"
    assert title(held_out) == "held_out: Targets along σ ≥ 1.5"
    names = list(history.layers)
    for axes, factor in ((train_area, 100), (held_out_area, 200)):
        for name in names:
            area = history.layers[name]["area"] / factor
            np.testing.assert_allclose(lines(axes)[name].get_ydata(), area)
    colours = layer_colours(run)
    assert all(colours[f"train/{name}"] == colours[f"held_out/{name}"] for name in names)
    for axes in curve_by_layer(run).axes:
        own_input = title(axes).partition("/")[0] + "/input"
        np.testing.assert_allclose(
            lines(axes)["input"].get_ydata(), run.shares[own_input]["curve"].value[0]
        )


def test_for_several_models_lines_are_medians_and_bands_their_intervals(history, run, seeds):
    models = summarize(seeds)
    at_threshold, area = alignment_by_step(models).axes
    for name, measures in history.layers.items():
        np.testing.assert_allclose(lines(area)[name].get_ydata(), measures["area"] / 100, rtol=1e-6)
    assert len(area.collections) == len(at_threshold.collections) == len(history.layers)
    heights = area.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(
        [heights.min(), heights.max()], [0.7 * 20 / 100, 1.3 * 20 / 100], rtol=1e-5
    )  # the input's, which stays
    for axes, single in zip(curve_by_layer(models).axes, curve_by_layer(run).axes, strict=True):
        for name, line in lines(axes).items():
            np.testing.assert_allclose(line.get_ydata(), lines(single)[name].get_ydata(), rtol=1e-6)
    drawn, single = (
        threshold_heat_map(r).axes[0].collections[0].get_array() for r in (models, run)
    )
    np.testing.assert_allclose(drawn, single, rtol=1e-6)


def test_a_model_that_diverged_is_left_out(history, seeds):
    cut = seeds.map(np.array)
    cut.loss[20:, 6] = np.nan
    run = summarize(cut)
    area = lines(alignment_by_step(run).axes[1])["hidden_3"].get_ydata()
    np.testing.assert_allclose(
        area, history.layers["hidden_3"]["area"] / 100 * 0.95, rtol=1e-6
    )  # the median of 0.7, ..., 1.2
    assert run.diverged == [6]


def test_a_sweep_draws_the_ends_of_its_runs(history, run, seeds):
    for one in (run, summarize(seeds)):
        loss, area = sweep({("adam", 1e-2): one, ("adam", 1e-3): one}).axes
        assert loss.get_xscale() == "log"
        np.testing.assert_allclose(lines(area)["hidden_3"].get_xdata(), [1e-3, 1e-2])
        np.testing.assert_allclose(
            lines(area)["hidden_3"].get_ydata(),
            history.layers["hidden_3"]["area"][-1] / 100,
            rtol=1e-6,
        )
        np.testing.assert_allclose(loss.lines[0].get_ydata(), history.loss[-50:].mean(), rtol=1e-6)


def test_a_sweep_over_optimizers_has_a_column_each(history, run):
    faster = summarize(history._replace(loss=history.loss / 2))
    drawn = sweep(
        {
            ("adam", 1e-2): run,
            ("sgd", 1e-1): faster,
            ("adam", 1e-3): faster,
            ("sgd", 1e-2): run,
        }
    )
    for optimizer, loss, rates, halves in zip(
        ("adam", "sgd"), drawn.axes[:2], ((1e-3, 1e-2), (1e-2, 1e-1)), ((2, 1), (1, 2)), strict=True
    ):
        assert title(loss) == optimizer
        np.testing.assert_allclose(loss.lines[0].get_xdata(), rates)
        np.testing.assert_allclose(
            loss.lines[0].get_ydata(), history.loss[-50:].mean() / halves, rtol=1e-6
        )
