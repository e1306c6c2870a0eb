"""The claims on a phone, in a browser: every text of a picture can be read, and none is cut off."""

import shutil
from pathlib import Path

import pytest

CLAIMS = Path(__file__).parents[2] / "studies" / "claims.html"
SMALLEST = 11
"""Pixels of a text."""

WRAPPER = """<!doctype html><body>
<iframe src="claims.html" width="390" height="844"></iframe>
<script>
onload = () => {
  const frame = document.querySelector("iframe");
  const page = frame.contentDocument;
  const told = { wider: page.documentElement.scrollWidth - 390, pictures: 0, sizes: [], cut: [] };
  for (const picture of page.querySelectorAll("section figure svg")) {
    const box = picture.getBoundingClientRect();
    if (!box.width) continue;
    told.pictures += 1;
    const scale = box.width / picture.viewBox.baseVal.width;
    for (const text of picture.querySelectorAll("text")) {
      told.sizes.push(scale * parseFloat(frame.contentWindow.getComputedStyle(text).fontSize));
      const { left, right, top, bottom } = text.getBoundingClientRect();
      const outside = [box.left - left, right - box.right, box.top - top, bottom - box.bottom];
      if (Math.max(...outside) > 1) told.cut.push(text.textContent);
    }
  }
  told.sizes = [...new Set(told.sizes)];
  document.body.dataset.told = JSON.stringify(told);
};
</script></body>"""


@pytest.mark.slow
def test_every_text_of_a_picture_can_be_read_on_a_phone(tmp_path, told_in_browser):
    shutil.copy(CLAIMS, tmp_path)
    told = told_in_browser(WRAPPER)
    assert told["wider"] <= 0
    assert told["pictures"] == CLAIMS.read_text(encoding="utf-8").count("<section id=")
    assert min(told["sizes"]) >= SMALLEST
    assert told["cut"] == []
