from importlib.resources import files

import jinja2
import numpy as np
import pytest

from jaxalign.style.html import number, percent, render

PAGE = {
    "title": "<script>alert('&')</script>",
    "kicker": '"quoted"',
    "warnings": ["<b>"],
    "lede": "a & b",
}


def test_every_value_is_escaped(faults):
    text = render("jaxalign.style", "base.html", **PAGE)
    assert "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;" in text
    assert "&#34;quoted&#34;" in text
    assert '<p class="warning">&lt;b&gt;</p>' in text
    assert '<p class="lede">a &amp; b</p>' in text
    assert "<script>" not in text
    assert faults(text) == []


def test_the_style_is_in_the_page_as_it_is():
    style = files("jaxalign.style").joinpath("style.css").read_text(encoding="utf-8")
    assert style in render("jaxalign.style", "base.html", **PAGE)


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="lede"):
        render("jaxalign.style", "base.html", title="", kicker="", warnings=[])


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0043, "0.4%"), (0.43, "43%"), (0.996, "99.6%"), (0.99999, "100%"), (np.nan, "NaN")],
)
def test_shares_keep_a_decimal_near_their_ends(share, text):
    assert percent(share) == text


def test_numbers_have_so_many_decimals():
    assert number(1.239, 2) == "1.24"
    assert number(np.nan, 2) == "NaN"
