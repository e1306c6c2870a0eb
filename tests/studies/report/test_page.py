import io
from pathlib import Path

import pytest
from markupsafe import Markup
from rich.console import Console

from jaxalign.statistics import Estimate
from jaxalign.studies.framework.results import Finished, read_picture, read_results
from jaxalign.studies.framework.verdict import Judged, Verdict
from jaxalign.studies.report.page import claims_page
from jaxalign.studies.report.terminal import claims_table

DRAWN = Markup('<svg role="img" aria-label="All of them"><text>σ</text></svg>')
MET = Estimate(0.5, 0.25, 0.75, n=3)
UNCLEAR = Estimate(0.1, -0.2, 0.4, n=3)
UNMET = Estimate(-0.5, -0.75, -0.25, n=3)
ONE = (Judged("one", MET),)
SEVEN = tuple(Judged(f"cell <{i}>", UNMET) for i in range(7))


@pytest.fixture
def finished():
    """``finished(name, effect, cells)``: a made-up result."""

    def make(name: str, effect: Estimate = MET, cells=ONE) -> Finished:
        verdict = Verdict(effect, "σ & area", "jars", cells, notes=("Mind the <mean>.",))
        return Finished(
            name,
            claim=f"{name} <is> so.",
            source="the paper's & ours",
            comparison="with <jars>",
            size="small",
            config={"seeds": 5, "optimizers": ["sgd", "adam"]},
            verdict=verdict,
            rows=5678,
            seconds=90.4,
            date="2026-01-31",
            command=f"jaxalign study {name}",
            environment={"device": "1 × abacus", "versions": {"jax": "0.10"}},
        )

    return make


def page_of(*results: Finished) -> str:
    return claims_page(
        {result.study: result for result in results}, {result.study: DRAWN for result in results}
    )


def test_the_page_is_self_contained_and_tells_all_of_a_result(finished, faults):
    effect = Estimate(0.25, -0.1234, 1.5, n=1234)
    text = page_of(finished("depth", effect, (*SEVEN, Judged("c", MET))), finished("speed"))
    assert faults(text) == []
    assert text.count(DRAWN) == 2
    for part in (
        *("depth &lt;is&gt; so.", "the paper&#39;s &amp; ours", "with &lt;jars&gt;"),
        *("<b>0.25</b>", "[-0.123, 1.5]", "σ &amp; area", "over 1,234 jars"),
        *("<b>1</b> supported", "<b>0</b> undecided", "<b>7</b> contradicted", "All 8 cells"),
        *("Mind the &lt;mean&gt;.", "2026-01-31", "1 × abacus", "jax 0.10", "sgd, adam"),
        *('href="depth/table.csv"', "All 5,678 rows", "90 s of measuring"),
        "<code>jaxalign study depth</code>",
    ):
        assert part in text
    assert "$" not in text
    assert "<mean>" not in text


def test_contradicted_cells_are_named_and_all_cells_are_in_the_folded_table(finished):
    cells = (Judged("fine", MET), Judged("unclear", UNCLEAR), *SEVEN)
    text = page_of(finished("depth", UNMET, cells), finished("speed"))
    shown, folded = text[text.index('id="depth"') :].split("<details>", maxsplit=1)
    assert "Contradicted: cell &lt;0&gt;; cell &lt;1&gt;; cell &lt;2&gt;; cell &lt;3&gt;; " in shown
    assert "and 3 more below" in shown
    order = [folded.index(f"<td>{name}</td>") for name in ("cell &lt;6&gt;", "unclear", "fine")]
    assert order == sorted(order)
    assert text.count("Contradicted:") == 1


@pytest.mark.parametrize(
    ("effects", "sentence"),
    [
        ([MET], "One claim was put to the test: it is supported."),
        ([UNMET], "One claim was put to the test: it is contradicted."),
        ([MET, MET], "Of 2 claims, 2 are supported, 0 are undecided and 0 are contradicted."),
        (
            [MET, UNMET, UNCLEAR, MET],
            "Of 4 claims, 2 are supported, 1 is undecided and 1 is contradicted.",
        ),
    ],
)
def test_the_page_begins_with_how_the_claims_came_out(finished, effects, sentence):
    names = ("depth", "speed", "labels", "demo")
    text = page_of(*(finished(name, effect) for name, effect in zip(names, effects, strict=False)))
    assert f'<p class="lede">{sentence}</p>' in text


def test_the_page_says_which_studies_are_missing(finished):
    assert (
        "Not run yet: emergence, layers, pretrained, labels, transfer, demo, learning."
        in page_of(finished("depth"), finished("speed"))
    )


def test_sizes_and_devices_that_differ_are_all_named(finished):
    devices = {"device": "8 × abacus; 1 × abacus"}
    elsewhere = finished("speed")._replace(size="paper", environment=devices)
    assert "Size: small, paper · measured on 1 × abacus, 8 × abacus<" in page_of(
        finished("depth"), elsewhere
    )


@pytest.mark.parametrize("width", [60, 160])
def test_the_terminal_names_the_first_contradicted_cells_and_counts_the_others(finished, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(
        claims_table({"depth": finished("depth", UNCLEAR, SEVEN), "speed": finished("speed")})
    )
    printed = " ".join(console.file.getvalue().split())
    assert "undecided" in printed
    assert "0.1 [-0.2, 0.4] over 3 jars σ & area" in printed
    assert (
        "of 7 cells 0 supported, 0 undecided, 7 contradicted: "
        "cell <0>; cell <1>; cell <2>; cell <3>; and 3 more" in printed
    )
    assert "1 of 1 cells supported" in printed


def test_the_committed_page_is_that_of_the_committed_results():
    folder = Path(__file__).parents[3] / "studies"
    results = read_results(folder)
    drawings = {name: read_picture(folder / name) for name in results}
    assert (folder / "claims.html").read_text(encoding="utf-8") == claims_page(results, drawings)
