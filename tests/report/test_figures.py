import numpy as np
import pytest

from jaxalign.report.figures import alignment_by_step, all_figures, curve_by_layer, layer_colours, threshold_heat_map


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_alignment_by_step_draws_the_history(history):
    at_threshold, area = alignment_by_step(history).axes
    for name, record in history.layers.items():
        np.testing.assert_allclose(lines(at_threshold)[name].get_ydata(), record.alignment[:, 1] / 100)
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
        np.testing.assert_allclose(drawn["input"].get_ydata(), history.layers["input"].curve[0] / 100)


def test_heat_map_is_of_the_last_layer(history):
    axes = threshold_heat_map(history).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_array(), history.layers["hidden_3"].curve.T / 100)
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
            step=run.step[:rows], measured=run.measured[:rows], loss=run.loss[:rows], layers=type(run.layers)(layers)
        )
        for name, figure in all_figures(short).items():
            file = tmp_path / f"{name}-{number}.png"
            figure.savefig(file)
            assert file.stat().st_size > 5000


def test_one_layer_without_input(history):
    alone = history._replace(layers=type(history.layers)(hidden_1=history.layers["hidden_1"]))
    for figure in all_figures(alone).values():
        figure.savefig("/dev/null", format="png")
