"""How a figure is set into a page, and how its lines are named."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.style.figures import BRIGHT, INK, STYLE
from jaxalign.style.layout import LINES, NARROW, WIDE, grid, label_rows, panels, set_title
from jaxalign.style.legends import NAMED, apart, legend_of, name_lines
from jaxalign.style.svg import on_dark, picture, svg


def drawn(layout=WIDE, lines=2, title="<&> and more words than one line has room for"):
    with matplotlib.rc_context(STYLE):
        figure, axes = panels(2, 2.5, layout, columns=2)
        for each in axes:
            for i in range(lines):
                each.plot([1, 2], [0, i], label=f"layer_{i}", color=INK)
            each.plot([1, 2], [1, 1], label="by chance", linestyle=":", color=BRIGHT)
            set_title(each, title)
        name_lines(figure, axes)
    return figure


def test_a_figure_is_the_same_element_each_time(faults):
    first = svg(drawn(), 'seen "so"', "key")
    assert faults(str(first)) == []
    assert first == svg(drawn(), 'seen "so"', "key")
    root = ElementTree.fromstring(first)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'seen "so"'


def test_texts_of_a_figure_are_text_of_one_size():
    text = svg(drawn(), "", "key")
    assert "layer_1</text>" in text
    sizes = re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", text)
    assert len(sizes) == text.count("<text")
    assert set(map(float, sizes)) == {10.0}


def test_every_colour_follows_the_page_but_those_on_maps():
    text = svg(drawn(), "", "key")
    assert f"stroke: light-dark({INK}, {on_dark(INK)})" in text
    assert f"stroke: {BRIGHT}" in text
    assert not re.findall(rf": (?!{BRIGHT})#\w{{6}}", text)


@pytest.mark.parametrize("colour", ["#1f2328", "#6b7280", "#22a884", "#471365"])
def test_a_colour_stands_out_from_a_dark_page(colour):
    def luminance(shade):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in matplotlib.colors.to_rgb(shade)
        ]
        return np.dot([0.2126, 0.7152, 0.0722], linear) + 0.05

    assert luminance(on_dark(colour)) / luminance(on_dark("#ffffff")) >= 4.5


def test_both_layouts_are_in_the_page_and_share_no_id():
    text = picture(drawn(WIDE), drawn(NARROW), "seen", "key")
    assert [f'<div class="{layout.name}">' in text for layout in (WIDE, NARROW)] == [True, True]
    ids = re.findall(r' id="(\w+)"', text)
    assert ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:="|url\()#(\w+)', text)) <= set(ids)


@pytest.mark.parametrize("layout", [pytest.param(WIDE, marks=pytest.mark.slow), NARROW])
@pytest.mark.parametrize("lines", [2, NAMED + 1, 60])
def test_nothing_is_clipped_and_no_name_lies_on_another(layout, lines):
    figure = drawn(layout, lines)
    figure.draw_without_rendering()
    renderer = figure._get_renderer()
    width = figure.bbox.width
    for axes in figure.axes:
        for text in (axes.title, axes._left_title, *axes.texts):
            assert text.get_window_extent(renderer).x1 <= width
        tops = sorted(text.get_window_extent(renderer).y0 for text in axes.texts)
        assert not tops or np.diff(tops, append=np.inf).min() >= 9
        names = [text.get_text() for text in axes.texts]
        assert (f"layer_{lines - 1}" in names) == (lines > NAMED)
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert ("by chance" in legend, "layer_0" in legend) == (True, lines <= NAMED)


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_a_legend_is_no_wider_than_its_page(layout):
    figure, axes = panels(1, 2.0, layout)
    lines = {f"{'encoder_layer_' * 20}{i}": axes[0].plot([0, i])[0] for i in range(3)}
    legend_of(figure, lines)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.width
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text[-1] for text in shown] == ["0", "1", "2"]


@pytest.mark.parametrize("layout", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["encoder." + "a_long_name_" * 20, "a long name " * 20])
def test_a_title_of_any_length_leaves_room_for_its_panel(layout, name):
    figure, axes = panels(3, 2.0, layout)
    set_title(axes[0], f"{name}7")
    figure.draw_without_rendering()  # Where no panel has room, matplotlib warns: an error here.
    shown = axes[0].get_title()
    assert shown.endswith("7")
    assert shown.count("\n") < 2 * LINES


@given(heights=st.lists(st.floats(0, 1), min_size=1, max_size=9).map(sorted))
@settings(deadline=None, max_examples=50, database=None)
def test_names_keep_their_order_and_a_distance(heights):
    places = apart(heights, 0.1)
    assert np.diff(places, append=np.inf).min() >= 0.1 - 1e-9
    assert places[0] >= 0
    assert places[-1] <= 1 + 1e-9
    if np.diff(heights, append=np.inf).min() >= 0.1:
        np.testing.assert_allclose(places, heights, atol=1e-9)


@pytest.mark.parametrize(
    ("layout", "rows", "inches"),
    [(WIDE, [[0, 0, 0], [1, 1, 1]], 5.0), (NARROW, [[0, 2, 4], [1, 3, 5]], 11.0)],
)
def test_columns_that_do_not_fit_come_below_with_all_their_rows(layout, rows, inches):
    figure, panels = grid([(2.0, 1.0), (2.0, 1.0), (2.0, 3.0)], layout, share_y=True)
    label_rows(panels, ["above", "below"])
    specs = [[axes.get_subplotspec() for axes in row] for row in panels]
    assert [[spec.rowspan.start for spec in row] for row in specs] == rows
    assert figure.get_size_inches().tolist() == [layout.width, inches]
    for row, label in zip(panels, ("above", "below"), strict=True):
        row[0].set_ylim(0, 7)
        assert [axes.get_ylim() for axes in row] == [(0, 7)] * 3
        named = [axes.get_ylabel() == label for axes in row]
        assert named == [axes.yaxis.get_tick_params()["labelleft"] for axes in row]
        assert named == [axes.get_subplotspec().colspan.start == 0 for axes in row]
