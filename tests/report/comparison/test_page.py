"""The picture, the page and the table of a comparison, made of numbers alone."""

import io
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from jaxalign.comparison import (
    AreaDifference,
    Chance,
    Compared,
    Comparison,
    LayerShape,
    Pairs,
    not_above_chance,
)
from jaxalign.inspection import LayerNumbers
from jaxalign.report.comparison.figure import similarity_map
from jaxalign.report.comparison.notes import notes
from jaxalign.report.comparison.page import comparison_page
from jaxalign.report.comparison.terminal import comparison_table

HOSTILE = "<b>$x_1$ & [red]"
CONFIG = {
    "title": "a and b",
    "subtitle": "linear CKA · 100 rows",
    "names": ["models/a", HOSTILE],
    "command": "jaxalign compare a b",
    "notes": ["a note"],
    "details": {"A": "a", "B": HOSTILE},
}


def comparison_of(rows: int, columns: int, **changes) -> Comparison:
    """Of so many layers, the second layer of A constant, noise in the last one of B."""
    generator = np.random.default_rng(0)
    values = generator.uniform(0.2, 1, (rows, columns))
    p_value = np.full((rows, columns), 0.001)
    values[:, -1], p_value[:, -1] = 0.01, 0.4
    values[1], p_value[1] = np.nan, np.nan

    def side(count: int, shape: tuple[int, ...]) -> tuple:
        names = [HOSTILE, *(f"block_{i}.relu" for i in range(1, count))]
        numbers = LayerNumbers(3.0, 2.0, np.ones(3), np.ones(3), 4)
        return (
            OrderedDict((name, LayerShape(shape, 3)) for name in names),
            OrderedDict((name, numbers) for name in names),
        )

    first, of_first = side(rows, (4, 4, 3))
    second, of_second = side(columns, (3,))
    settings = {
        "measure": "linear CKA, debiased",
        "is_distance": False,
        "is_share": True,
        "first": first,
        "second": second,
        "left_out": ({"mask": "bool, no real numbers"}, {}),
        "pairs": Pairs(values, Chance(np.zeros_like(values), np.ones_like(values), p_value)),
        "permutations": 0,
        "alignments": (of_first, of_second),
        "differences": (AreaDifference("block_2.relu", HOSTILE, -0.2, -0.3, 0.1),),
        "num_samples": 100,
        "centered": False,
    }
    return Comparison(**{**settings, **changes})


def printed(comparison: Comparison) -> str:
    stream = io.StringIO()
    Console(width=200, file=stream).print(comparison_table(Compared(comparison, CONFIG)))
    return stream.getvalue()


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return comparison_of(3, 4)


def test_the_page_is_whole_and_shows_names_as_they_are(comparison, faults):
    compared = Compared(comparison, CONFIG)
    page = comparison_page(compared, similarity_map(compared))
    assert faults(page) == []
    assert "&lt;b&gt;$x_1$ &amp; [red]" in page
    assert "<b>$x" not in page
    assert 'role="img" aria-label="Heat map of linear CKA, debiased.' in page
    assert "6 of 12 pairs are more alike than chance." in page
    assert "which leaves open which is more" in page
    assert "≤ 0.001" in page


def test_marks_numbers_and_names_are_in_the_picture(comparison):
    figure = similarity_map(Compared(comparison, CONFIG))
    axes = figure.axes[0]
    assert not_above_chance(comparison).sum() == 6  # with the four pairs that have no value
    assert len(axes.collections[0].get_offsets()) == 2
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("–") == 4
    assert "0.010" in texts
    assert [label.get_text() for label in axes.get_xticklabels()][1:] == [
        "block_1.relu",
        "block_2.relu",
        "block_3.relu",
    ]


@pytest.mark.parametrize(
    "size", [(1, 1), *(pytest.param(s, marks=pytest.mark.slow) for s in ((50, 50), (2, 60)))]
)
def test_any_number_of_layers_is_drawn_without_clipped_names(size):
    comparison = comparison_of(*size) if size[0] > 1 else _single()
    figure = similarity_map(Compared(comparison, CONFIG))
    figure.draw_without_rendering()
    extent = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(extent.x0, extent.y0) >= -0.01
    assert extent.x1 <= width + 0.01
    assert extent.y1 <= height + 0.01


def _single() -> Comparison:
    whole = comparison_of(2, 2)
    first = OrderedDict([next(iter(whole.first.items()))])
    rows = OrderedDict([next(iter(whole.alignments[0].items()))])
    return replace(
        whole,
        first=first,
        second=first,
        alignments=(rows, rows),
        pairs=Pairs(np.ones((1, 1)), None),
        differences=(),
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pairs": Pairs(np.full((3, 4), np.nan), None)}, "No pair of layers has a value"),
        ({"is_distance": True, "is_share": False}, "Less is more alike."),
        ({"alignments": None, "differences": ()}, "of 3 layers the best match has the same name"),
        ({"permutations": 99}, "≤ 0.01"),
    ],
)
def test_the_page_says_what_there_is(changes, said, faults):
    compared = Compared(comparison_of(3, 4, **changes), CONFIG)
    page = comparison_page(compared, Figure(figsize=(1, 1)))
    assert faults(page) == []
    assert said in page
    assert ("How aligned" in page) == (compared.comparison.alignments is not None)


def test_notes_say_what_is_marked_and_what_is_missing(comparison):
    text = " ".join(notes(comparison, reduce="mean"))
    assert "averaged over their positions (--reduce mean)" in text
    assert "adjusted for the number of pairs" in text
    assert "block_1.relu of A have no value" in text
    assert "mask of A is left out: bool, no real numbers." in text
    values = comparison.pairs.values
    unknown = replace(comparison, pairs=Pairs(values, None))
    assert "Pass --permutations 100" in " ".join(notes(unknown, reduce="mean"))
    means = replace(comparison, pairs=Pairs(values, Chance(np.zeros_like(values))))
    assert "no more alike than the mean by chance" in " ".join(notes(means, reduce="mean"))
    assert not_above_chance(unknown) is None


def test_the_table_shows_names_as_they_are(comparison):
    text = printed(comparison)
    assert HOSTILE in text
    assert "6 of 12 pairs are more alike than chance." in text
