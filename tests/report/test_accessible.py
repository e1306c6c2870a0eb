"""Axe, the checker of accessibility, finds nothing serious on the pages in a browser."""

import importlib.util
import shutil
from pathlib import Path

import pytest

AXE = importlib.util.find_spec("axe_core_python")
CLAIMS = Path(__file__).parents[2] / "studies" / "claims.html"

WRAPPER = """<!doctype html><body>
{frames}
<script>
onload = async () => {{
  const told = {{}};
  for (const frame of document.querySelectorAll("iframe")) {{
    // What is drawn in a picture has no meaning of its own, and is most of a page.
    const context = {{ exclude: [["svg[role=img] > *"]] }};
    const {{ violations }} = await frame.contentWindow.axe.run(context);
    told[frame.name] = violations
      .filter(({{ impact }}) => impact === "serious" || impact === "critical")
      .map(({{ id, nodes }}) => `${{id}}: ${{nodes[0].html.slice(0, 200)}}`);
  }}
  document.body.dataset.told = JSON.stringify(told);
}};
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(AXE is None, reason="pip install --no-deps axe-core-python")
def test_axe_finds_nothing_serious(history, page_of, tmp_path, told_in_browser):
    shutil.copy(Path(AXE.origin).with_name("axe.min.js"), tmp_path)
    pages = {"run": page_of(history), "claims": CLAIMS.read_text(encoding="utf-8")}
    for name, page in pages.items():
        checked = page.replace("</body>", '<script src="axe.min.js"></script></body>')
        assert checked != page
        (tmp_path / f"{name}.html").write_text(checked, encoding="utf-8")
    frames = [
        f'<iframe name="{name}" src="{name}.html" width="1200" height="900"></iframe>'
        for name in pages
    ]
    told = told_in_browser(WRAPPER.format(frames="\n".join(frames)))
    assert told == {name: [] for name in pages}
