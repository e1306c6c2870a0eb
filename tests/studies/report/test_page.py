import base64
import io
from pathlib import Path

import pytest
from rich.console import Console

from jaxalign.statistics import Estimate
from jaxalign.studies.framework.results import FIGURE, Finished, read_results
from jaxalign.studies.framework.study import Verdict
from jaxalign.studies.report.page import claims_page
from jaxalign.studies.report.terminal import claims_table

PICTURE = b"\x89PNG and so on"
FAILING = tuple(f"cell <{i}>" for i in range(7))


@pytest.fixture
def finished():
    """``finished(name, outcome, failing)``: a made-up result."""

    def make(name: str, outcome: str = "holds", failing=()) -> Finished:
        verdict = Verdict(
            outcome,
            Estimate(0.25, -0.1234, 1.5, n=1234),
            "σ & area",
            failing,
            cells=9,
            notes=("Mind the <mean>.",),
        )
        where = {"device": "1 × abacus", "versions": {"jax": "0.10"}}
        config = {"seeds": 5, "optimizers": ["sgd", "adam"]}
        command = f"jaxalign study {name}"
        claim, source = f"{name} <is> so.", "the paper's & ours"
        return Finished(
            name, claim, source, "small", config, verdict, 5678, 90.4, "2026-01-31", command, where
        )

    return make


def page_of(*results: Finished) -> str:
    return claims_page(
        {result.study: result for result in results}, {result.study: PICTURE for result in results}
    )


def test_the_page_is_self_contained_and_tells_all_of_a_result(finished, faults):
    text = page_of(finished("depth", "holds in part", FAILING), finished("speed"))
    assert faults(text) == []
    assert text.count(f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}") == 2
    for part in (
        *(
            "depth &lt;is&gt; so.",
            "the paper&#39;s &amp; ours",
            "0.25 [-0.123, 1.5]",
            "σ &amp; area",
            "n&nbsp;=&nbsp;1,234",
            "7 of 9",
            "0 of 9",
        ),
        *(
            "Mind the &lt;mean&gt;.",
            "2026-01-31",
            "1 × abacus",
            "jax 0.10",
            "sgd, adam",
            "<code>jaxalign study depth</code>",
        ),
        *('href="depth/table.csv"', "All 5,678 rows", "90 s of measuring"),
    ):
        assert part in text
    assert "$" not in text
    assert "<mean>" not in text


def test_every_failing_cell_is_on_the_page(finished):
    text = page_of(finished("depth", "does not hold", FAILING), finished("speed"))
    assert all(f"<li>cell &lt;{i}&gt;</li>" in text for i in range(7))
    assert text.count("Where it fails") == 1


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        (["holds"], "One claim was put to the test: it holds."),
        (["does not hold"], "One claim was put to the test: it does not hold."),
        (["holds", "holds"], "Of 2 claims, 2 hold."),
        (
            ["holds", "does not hold", "holds in part", "holds"],
            "Of 4 claims, 2 hold, 1 holds in part and 1 does not hold.",
        ),
    ],
)
def test_the_page_begins_with_how_many_claims_hold(finished, outcomes, sentence):
    names = ("depth", "speed", "labels", "demo")
    text = page_of(
        *(finished(name, outcome) for name, outcome in zip(names, outcomes, strict=False))
    )
    assert f'<p class="lede">{sentence}</p>' in text


def test_the_page_says_which_studies_are_missing(finished):
    assert (
        "Not run yet: emergence, layers, pretrained, labels, transfer, demo, learning."
        in page_of(finished("depth"), finished("speed"))
    )


def test_sizes_and_devices_that_differ_are_all_named(finished):
    elsewhere = finished("speed")._replace(size="paper", environment={"device": "8 × abacus"})
    assert "Size: small, paper · measured on 1 × abacus, 8 × abacus" in page_of(
        finished("depth"), elsewhere
    )


@pytest.mark.parametrize("width", [60, 160])
def test_the_terminal_names_the_first_failing_cells_and_counts_the_others(finished, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(
        claims_table(
            {"depth": finished("depth", "holds in part", FAILING), "speed": finished("speed")}
        )
    )
    printed = " ".join(console.file.getvalue().split())
    assert "holds in part" in printed
    assert "0.25 [-0.123, 1.5] σ & area, n = 1234" in printed
    assert "fails in 7 of 9 cells: cell <0>; cell <1>; cell <2>; cell <3>; and 3 more" in printed
    assert "in all of 9 cells" in printed


def test_the_committed_page_is_that_of_the_committed_results():
    folder = Path(__file__).parents[3] / "studies"
    results = read_results(folder)
    pictures = {name: (folder / name / FIGURE).read_bytes() for name in results}
    assert (folder / "claims.html").read_text(encoding="utf-8") == claims_page(results, pictures)
