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


@pytest.fixture(scope="module")
def kernel():
    """One for all notebooks, which saves importing and compiling the same again."""
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync

    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    run_sync(manager.shutdown_kernel)(now=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter's own machinery are not ours
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_runs_from_top_to_bottom(file, kernel, tmp_path):
    run = runpy.run_path(str(ROOT / "scripts" / "run_notebooks.py"))["run"]
    notebook = nbformat.read(file, as_version=4)
    expected = shown(notebook)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    copy = tmp_path / file.name
    nbformat.write(notebook, copy)
    assert shown(run(copy, seconds=300, kernel=kernel)) == [[], *expected]


def shown(notebook) -> list[list[str]]:
    """The kinds of output of each cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [sorted(kind for o in cell.outputs for kind in o.get("data", ())) for cell in cells]
