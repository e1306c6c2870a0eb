import io
from collections import OrderedDict

import numpy as np
import pytest
from rich.console import Console

import jaxalign as ja
from jaxalign.inspection import Inspected, Inspection, LayerPlan, curves, numbers
from jaxalign.report.inspection.figure import alignment_by_layer
from jaxalign.report.inspection.page import inspected_page
from jaxalign.report.inspection.terminal import inspected_table


def made(names) -> Inspected:
    """A made-up inspection of 100 samples: the alignment grows from layer to layer."""
    sigma = np.sort(np.random.default_rng(0).uniform(0, 5, 8)).astype(np.float32)[::-1]
    energy = np.linspace(8, 1, 8, dtype=np.float32)[:, None]
    spectra = OrderedDict(
        (name, ja.Spectrum(sigma * (1 + i / 10), energy, np.array([50.0], np.float32)))
        for i, name in enumerate(names)
    )
    layers = OrderedDict((name, LayerPlan((4, 4, 7), "float32", "mean", 1, 8)) for name in names)
    config = {
        "title": "A <net> on cats & dogs",
        "subtitle": "100 samples",
        "command": "jaxalign inspect <net>",
        "warnings": ["Mind the <mean>."],
        "notes": ["A note & more."],
        "details": {"model": "<net>"},
    }
    return Inspected(
        Inspection(spectra, layers, {"pair": "a tuple, no array"}, 100.0), (1.0, 2.0, 4.0), config
    )


FEW = ("input", "hidden_1", "hidden_2", "hidden_3")
MANY = tuple(f"layer{i}.0.conv1" for i in range(40))


@pytest.fixture(scope="module")
def few():
    return made(FEW)


def test_the_figure_draws_every_curve_and_area(few):
    curve, area = alignment_by_layer(few.inspection).axes
    drawn = {line.get_label(): line for line in curve.lines}
    grid = few.inspection.thresholds(256)
    for name, expected in curves(few.inspection, grid).items():
        np.testing.assert_allclose(drawn[name].get_ydata(), expected.curve)
    np.testing.assert_allclose(drawn["random targets in hidden_3"].get_ydata(), expected.null)
    np.testing.assert_allclose(
        area.lines[0].get_ydata(), [row.area for row in numbers(few.inspection, [1.0]).values()]
    )
    assert [tick.get_text() for tick in area.get_xticklabels()] == list(FEW)


@pytest.mark.parametrize("names", [("one",), FEW, MANY, ("input", *MANY)])
def test_any_number_of_layers_is_drawn(names, tmp_path):
    figure = alignment_by_layer(made(names).inspection)
    figure.savefig(tmp_path / "it.png", dpi=60)
    ticks = [tick.get_text() for tick in figure.axes[1].get_xticklabels()]
    assert len(ticks) <= 26
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert ("input" in legend) == ("input" in names)
    assert len(legend) <= 10


@pytest.mark.parametrize("names", [("one",), FEW, MANY])
def test_the_page_is_self_contained_escaped_and_tells_the_numbers(names, faults):
    found = made(names)
    text = inspected_page(found, alignment_by_layer(found.inspection))
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
    for name, row in numbers(found.inspection, found.thresholds).items():
        assert f"<td>{name}</td><td>4×4×7</td><td>8</td><td>{row.area:.2f}</td>" in text


def test_the_verdict_is_about_the_order_of_areas(few):
    text = inspected_page(few, alignment_by_layer(few.inspection))
    assert "every layer is more aligned than the one before it" in text
    turned = made(("input", "hidden_1", "hidden_2", "hidden_3"))
    spectra = turned.inspection.spectra
    spectra["hidden_2"], spectra["hidden_3"] = spectra["hidden_3"], spectra["hidden_2"]
    text = inspected_page(turned, alignment_by_layer(turned.inspection))
    assert "1 of 2 layers are above the one before them; the most aligned is hidden_2." in text
    alone = made(("one",))
    assert "no order to judge" in inspected_page(alone, alignment_by_layer(alone.inspection))


def test_the_table_has_a_row_a_layer_in_80_columns(few):
    console = Console(file=io.StringIO(), width=80)
    console.print(inspected_table(few))
    lines = console.file.getvalue().splitlines()
    assert not any("…" in line for line in lines)
    for name, row in numbers(few.inspection, few.thresholds).items():
        line = next(line for line in lines if line.startswith(name))
        assert line.split()[-6:] == [
            f"{row.area:.2f}",
            *(f"{share:.3f}" for share in row.alignment),
            f"{row.chance[1]:.3f}",
            str(row.aligned_rank),
        ]
    assert "pair is left out: a tuple, no array" in lines
