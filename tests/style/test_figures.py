from jaxalign.style.figures import (
    MUTED,
    colours_by_depth,
    line_style,
)


def test_inputs_are_grey_and_dashed_whatever_monitor_they_belong_to():
    layers = ["input", "train/input", "hidden_1", "hidden_2"]
    colours = colours_by_depth(layers)
    assert list(colours) == layers
    assert colours["input"] == colours["train/input"] == MUTED
    assert len(set(colours.values())) == 3
    assert line_style("train/input")["linestyle"] == "--"
    assert line_style("hidden_1") == {}


def test_one_layer_has_a_colour():
    assert set(colours_by_depth(["only"])) == {"only"}
