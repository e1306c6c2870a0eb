"""Run notebooks from top to bottom and keep their outputs: ``python scripts/run_notebooks.py
notebooks/*.ipynb``.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(file: Path, seconds: int, kernel=None) -> nbformat.NotebookNode:
    """The notebook in ``file`` with its outputs, run in the folder of the file; a cell that fails
    raises. A kernel manager is used again, and left running; without one, the kernel is fresh.
    """
    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=seconds,
        record_timing=False,
        resources={"metadata": {"path": str(file.parent)}},
    )
    return client.execute()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(run(Path(name), seconds=600), name)
        print(name)
