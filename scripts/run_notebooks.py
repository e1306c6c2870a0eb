"""Run notebooks from top to bottom and keep their outputs: ``python scripts/run_notebooks.py
notebooks/*.ipynb``.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(file: Path, seconds: int) -> nbformat.NotebookNode:
    """The notebook in ``file`` with the outputs of a fresh kernel in its folder; a cell that fails
    raises.
    """
    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=seconds,
        record_timing=False,
        resources={"metadata": {"path": str(file.parent)}},
    )
    return client.execute()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(run(Path(name), seconds=600), name)
        print(name)
