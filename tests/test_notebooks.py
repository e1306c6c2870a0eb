import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

nbformat = pytest.importorskip("nbformat", reason="pip install jaxalign[notebooks]")
pytest.importorskip("nbclient", reason="pip install jaxalign[notebooks]")


def code_cells(file):
    return [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_is_kept_as_it_ran_from_top_to_bottom_with_pictures(file):
    cells = code_cells(file)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [
        kind
        for cell in cells
        for output in cell.outputs
        for kind in output.get("data", {output.output_type: ""})
    ]
    assert kinds.count("image/png") >= 3
    assert "error" not in kinds
    assert not [
        o.text
        for cell in cells
        for o in cell.outputs
        if o.output_type == "stream" and o.name == "stderr"
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter's own machinery are not ours
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_runs_in_a_fresh_kernel(file, tmp_path):
    run = runpy.run_path(str(ROOT / "scripts" / "run_notebooks.py"))["run"]
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    cells = [cell for cell in run(copy, seconds=300).cells if cell.cell_type == "code"]

    def shown(cells):
        return [sorted(kind for o in cell.outputs for kind in o.get("data", ())) for cell in cells]

    assert shown(cells) == shown(code_cells(file))
