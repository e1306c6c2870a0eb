import io
import re
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from rich.console import Console

import jaxalign as ja
from jaxalign.inspection import Inspected, Inspection, LayerPlan, curves, numbers
from jaxalign.report.inspection.figure import alignment_by_layer
from jaxalign.report.inspection.headline import dead_layers
from jaxalign.report.inspection.labels import labels_needed, predicted
from jaxalign.report.inspection.page import inspected_page
from jaxalign.report.inspection.terminal import inspected_table
from jaxalign.style.html import percent


def spectrum(scale: float, energy: np.ndarray) -> ja.Spectrum:
    """Of 100 samples, 8 directions and ‖y‖² = 50."""
    sigma = np.sort(np.random.default_rng(0).uniform(0, 5, 8)).astype(np.float32)[::-1]
    total, counts = np.array([50.0], np.float32), [np.int32(count) for count in (100, 8, 1)]
    return ja.Spectrum(sigma * scale, energy[:, None].astype(np.float32), total, *counts, "float32")


def made(names) -> Inspected:
    """A made-up inspection of 100 samples: the alignment grows from layer to layer."""
    scales = {name: 1 + i / 10 for i, name in enumerate(names)}
    energy = np.linspace(8, 1, 8)
    spectra = OrderedDict((name, spectrum(scale, energy)) for name, scale in scales.items())
    nulls = OrderedDict((name, spectrum(scale, energy[::-1] / 9)) for name, scale in scales.items())
    layers = OrderedDict((name, LayerPlan((4, 4, 7), "float32", "mean", 1, 8)) for name in names)
    config = {
        "title": "A <net> on cats & dogs",
        "subtitle": "100 samples",
        "command": "jaxalign inspect <net>",
        "warnings": ["Mind the <mean>."],
        "notes": ["A note & more."],
        "details": {"model": "<net>"},
    }
    left_out = {"pair": "a tuple, no array"}
    return Inspected(Inspection(spectra, nulls, layers, left_out, 100.0), (1.0, 2.0, 4.0), config)


FEW = ("input", "hidden_1", "hidden_2", "hidden_3")
MANY = tuple(f"layer{i}.0.conv1" for i in range(40))


@pytest.fixture(scope="module")
def few():
    return made(FEW)


@pytest.fixture(scope="module")
def best_in_the_middle():
    """The same layers with the last two swapped."""
    inspected = made(FEW)
    spectra = inspected.inspection.spectra
    spectra["hidden_2"], spectra["hidden_3"] = spectra["hidden_3"], spectra["hidden_2"]
    return inspected


PAGES: dict[int, tuple[Inspected, str]] = {}
"""Each page is drawn once; with what it is of, so that no other has its id."""


def page_of(inspected: Inspected) -> str:
    key = id(inspected)
    if key not in PAGES:
        PAGES[key] = inspected, inspected_page(inspected)
    return PAGES[key][1]


def test_the_figure_draws_every_curve_and_area(few):
    curve, area = alignment_by_layer(few.inspection).axes
    drawn = {line.get_label(): line for line in curve.lines}
    grid = few.inspection.thresholds(256)
    for name, expected in curves(few.inspection, grid).items():
        np.testing.assert_allclose(drawn[name].get_ydata(), expected.curve)
        assert drawn[name].get_drawstyle() == "steps-pre"
    np.testing.assert_allclose(drawn["hidden_3 by chance"].get_ydata(), expected.null_curve)
    rows = numbers(few.inspection, [1.0]).values()
    np.testing.assert_allclose(area.lines[0].get_ydata(), [row.area for row in rows])
    np.testing.assert_allclose(area.lines[1].get_ydata(), [row.null_area for row in rows])
    assert [tick.get_text() for tick in area.get_xticklabels()] == list(FEW)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("one",), FEW, MANY, ("input", *MANY)])
def test_any_number_of_layers_is_drawn(names, tmp_path):
    figure = alignment_by_layer(made(names).inspection)
    figure.savefig(tmp_path / "it.png", dpi=40)
    curve, area = figure.axes
    assert len(area.get_xticklabels()) <= 20
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    beside = [text.get_text() for text in curve.texts]
    assert ("input" in legend) == ("input" in names)
    assert (names[-1] in legend, names[-1] in beside) == (len(names) <= 7, len(names) > 7)


def test_names_of_layers_are_no_formulas_and_no_markup():
    names = ("input", "w$_{1$", "[/b]", "_[red]$x$")
    inspected = made(names)
    figure = alignment_by_layer(inspected.inspection)
    texts = [text for text in figure.findobj(Text) if re.search(r"w|b\]|red", text.get_text())]
    assert len(texts) >= 6
    assert not any(text._preprocess_math(text.get_text())[1] for text in texts)
    console = Console(file=io.StringIO(), width=200)
    console.print(inspected_table(inspected))
    assert all(name in console.file.getvalue() for name in names)


@pytest.mark.parametrize(
    "names",
    [FEW, *(pytest.param(names, marks=pytest.mark.slow) for names in (("one",), MANY))],
)
def test_the_page_is_self_contained_escaped_and_tells_the_numbers(names, faults):
    inspected = made(names)
    text = page_of(inspected)
    assert faults(text) == []
    for written in (
        "A &lt;net&gt; on cats &amp; dogs",
        "Mind the &lt;mean&gt;.",
        "A note &amp; more.",
        "pair is left out",
    ):
        assert written in text
    assert "<net>" not in text
    assert "$" not in text.replace("$schema", "")
    assert ("no order to judge" in text) == (names == ("one",))
    for name, row in numbers(inspected.inspection, inspected.thresholds).items():
        assert f"<td>{name}</td><td>4×4×7</td><td>8</td><td>{row.area:.2f}</td>" in text


@pytest.mark.slow
def test_the_verdict_is_about_the_order_of_areas(few, best_in_the_middle):
    assert "every layer is more aligned than the one before it" in page_of(few)
    text = page_of(best_in_the_middle)
    assert "1 of 2 layers are above the one before them; the most aligned is hidden_2." in text


@pytest.mark.slow
def test_the_page_begins_with_the_most_aligned_layer_and_says_where_the_last_one_stands(
    few, best_in_the_middle
):
    rows = numbers(few.inspection, few.thresholds)
    share, chance, inputs = (
        percent(share)
        for share in (
            rows["hidden_3"].alignment[1],
            rows["hidden_3"].null_alignment[1],
            rows["input"].alignment[1],
        )
    )
    assert (
        f"{share} of the targets lie along the strong directions (σ\u00a0≥\u00a02) of hidden_3, "
        f"the last layer measured and by area the most aligned; by chance it would be {chance}. "
        f"The inputs themselves have {inputs}."
    ) in page_of(few)
    text = page_of(best_in_the_middle)
    last = numbers(best_in_the_middle.inspection, [2.0])["hidden_3"].alignment[0]
    assert "(σ\u00a0≥\u00a02) of hidden_2, by area the most aligned layer;" in text
    assert f"The last layer, hidden_3, has {percent(last)}." in text
    assert '<tr class="headline"><td>hidden_2</td>' in text


def test_the_table_has_one_row_per_layer_in_80_columns(few):
    console = Console(file=io.StringIO(), width=80)
    console.print(inspected_table(few))
    lines = console.file.getvalue().splitlines()
    assert not any("…" in line for line in lines)
    for name, row in numbers(few.inspection, few.thresholds).items():
        line = next(line for line in lines if line.startswith(name))
        assert line.split()[-6:] == [
            f"{row.area:.2f}",
            *(f"{share:.3f}" for share in row.alignment),
            f"{row.null_alignment[1]:.3f}",
            str(row.aligned_rank),
        ]
    assert "pair is left out: a tuple, no array" in lines
    assert "Most aligned by area: hidden_3, the last layer." in lines


def test_the_table_says_where_the_last_layer_stands(best_in_the_middle):
    console = Console(file=io.StringIO(), width=80)
    console.print(inspected_table(best_in_the_middle))
    rows = numbers(best_in_the_middle.inspection, [1.0])
    line = (
        f"Most aligned by area: hidden_2 ({rows['hidden_2'].area:.2f}); "
        f"the last layer is hidden_3 ({rows['hidden_3'].area:.2f})."
    )
    assert line in console.file.getvalue().splitlines()


def test_the_curves_of_labels_are_those_of_each_layer(few):
    axes = labels_needed(predicted(few.inspection)).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    for name, s in few.inspection.spectra.items():
        n = np.asarray(drawn[name].get_xdata(), np.float32)
        expected = ja.learning.learning_curve(s, n, ridge="best")[:, 0] * 100 / 50
        np.testing.assert_allclose(drawn[name].get_ydata(), expected, rtol=1e-5)


def test_layers_that_give_all_samples_the_same_features_are_named_before_the_table(few):
    inspection = few.inspection
    constant = replace(inspection.spectra["hidden_2"], rank=np.int32(1))
    spectra = OrderedDict(inspection.spectra, hidden_2=constant)
    assert not list(dead_layers(inspection))
    (sentence,) = dead_layers(replace(inspection, spectra=spectra))
    assert sentence.startswith("hidden_2 gives all of these samples the same features")
    console = Console(file=io.StringIO(), width=200)
    console.print(inspected_table(replace(few, inspection=replace(inspection, spectra=spectra))))
    assert sentence in " ".join(console.file.getvalue().split())
