import numpy as np
import pytest

from jaxalign.report.run.figures import (
    alignment_by_step,
    all_figures,
    curve_by_layer,
    layer_colours,
    threshold_heat_map,
)
from jaxalign.report.run.summary import diverged
from jaxalign.report.run.sweep import sweep


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_alignment_by_step_draws_the_history(history):
    at_threshold, area = alignment_by_step(history).axes
    for name, record in history.layers.items():
        np.testing.assert_allclose(
            lines(at_threshold)[name].get_ydata(), record.alignment[:, 1] / 100
        )
        np.testing.assert_allclose(lines(area)[name].get_ydata(), record.area / 100)
    assert "σ ≥ 3" in at_threshold.get_title(loc="left")


def test_curve_by_layer_sets_untrained_beside_trained_input_and_null(history):
    panels = curve_by_layer(history).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["hidden_1", "hidden_2", "hidden_3"]
    for axes in panels:
        record, drawn = history.layers[axes.get_title(loc="left")], lines(axes)
        np.testing.assert_allclose(drawn["untrained"].get_ydata(), record.curve[0] / 100)
        np.testing.assert_allclose(drawn["trained"].get_ydata(), record.curve[-1] / 100)
        np.testing.assert_allclose(drawn["random labels"].get_ydata(), record.null[-1] / 100)
        np.testing.assert_allclose(
            drawn["input"].get_ydata(), history.layers["input"].curve[0] / 100
        )


def test_heat_map_is_of_the_last_layer(history):
    axes = threshold_heat_map(history).axes[0]
    np.testing.assert_allclose(
        axes.collections[0].get_array(), history.layers["hidden_3"].curve.T / 100
    )
    assert "hidden_3" in axes.get_title(loc="left")


def test_a_diverged_step_is_blank_in_the_heat_map(diverged):
    drawn = threshold_heat_map(diverged).axes[0].collections[0].get_array()
    assert not np.ma.getmaskarray(drawn)[:, :20].any()
    assert np.ma.getmaskarray(drawn)[:, 20:].all()


def test_layers_are_told_apart_by_colour(history):
    assert len(set(layer_colours(history).values())) == len(history.layers)


@pytest.mark.parametrize("rows", [1, 2, 11, 41])
def test_runs_of_any_length_and_diverged_ones_are_drawn(history, diverged, tmp_path, rows):
    for number, run in enumerate((history, diverged)):
        layers = {name: type(r)(*(x[:rows] for x in r)) for name, r in run.layers.items()}
        short = run._replace(
            step=run.step[:rows],
            measured=run.measured[:rows],
            loss=run.loss[:rows],
            layers=type(run.layers)(layers),
        )
        for name, figure in all_figures(short).items():
            file = tmp_path / f"{name}-{number}.png"
            figure.savefig(file)
            assert file.stat().st_size > 5000


def test_one_layer_without_input(history):
    alone = history._replace(layers=type(history.layers)(hidden_1=history.layers["hidden_1"]))
    for figure in all_figures(alone).values():
        figure.savefig("/dev/null", format="png")


def test_of_several_models_lines_are_medians_and_bands_their_intervals(history, seeds):
    at_threshold, area = alignment_by_step(seeds).axes
    for name, record in history.layers.items():
        np.testing.assert_allclose(lines(area)[name].get_ydata(), record.area / 100, rtol=1e-6)
    assert len(area.collections) == len(at_threshold.collections) == len(history.layers)
    low, high = (
        area.collections[0].get_paths()[0].vertices[:, 1].min(),
        area.collections[0].get_paths()[0].vertices[:, 1].max(),
    )
    np.testing.assert_allclose(
        [low, high], [0.7 * 20 / 100, 1.3 * 20 / 100], rtol=1e-5
    )  # the input's, which stays
    for axes, single in zip(curve_by_layer(seeds).axes, curve_by_layer(history).axes, strict=True):
        for name, line in lines(axes).items():
            np.testing.assert_allclose(line.get_ydata(), lines(single)[name].get_ydata(), rtol=1e-6)
    drawn, single = (
        threshold_heat_map(h).axes[0].collections[0].get_array() for h in (seeds, history)
    )
    np.testing.assert_allclose(drawn, single, rtol=1e-6)


def test_a_model_that_diverged_is_left_out(history, seeds):
    cut = seeds.map(np.array)
    cut.loss[20:, 6] = np.nan
    area = lines(alignment_by_step(cut).axes[1])["hidden_3"].get_ydata()
    np.testing.assert_allclose(
        area, history.layers["hidden_3"].area / 100 * 0.95, rtol=1e-6
    )  # the median of 0.7, ..., 1.2
    assert diverged(cut) == [6]


def test_a_sweep_draws_the_ends_of_its_runs(history, seeds):
    for runs in ([history, history], [seeds, seeds]):
        loss, area = sweep({("adam", 1e-2): runs[0], ("adam", 1e-3): runs[1]}).axes
        assert loss.get_xscale() == "log"
        np.testing.assert_allclose(lines(area)["hidden_3"].get_xdata(), [1e-3, 1e-2])
        np.testing.assert_allclose(
            lines(area)["hidden_3"].get_ydata(),
            history.layers["hidden_3"].area[-1] / 100,
            rtol=1e-6,
        )
        np.testing.assert_allclose(loss.lines[0].get_ydata(), history.loss[-50:].mean(), rtol=1e-6)


def test_a_sweep_over_optimizers_has_a_column_each(history):
    faster = history._replace(loss=history.loss / 2)
    drawn = sweep(
        {
            ("adam", 1e-2): history,
            ("sgd", 1e-1): faster,
            ("adam", 1e-3): faster,
            ("sgd", 1e-2): history,
        }
    )
    for optimizer, loss, rates, halves in zip(
        ("adam", "sgd"), drawn.axes[:2], ((1e-3, 1e-2), (1e-2, 1e-1)), ((2, 1), (1, 2)), strict=True
    ):
        assert loss.get_title(loc="left") == optimizer
        np.testing.assert_allclose(loss.lines[0].get_xdata(), rates)
        np.testing.assert_allclose(
            loss.lines[0].get_ydata(), history.loss[-50:].mean() / halves, rtol=1e-6
        )
