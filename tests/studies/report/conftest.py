import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def faults():
    """``faults(page)``: what keeps a page from being self-contained and well-formed."""
    file = Path(__file__).parents[2] / "style" / "page_faults.py"
    spec = importlib.util.spec_from_file_location("page_faults", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.faults
