"""The house itself: a name is a package or a function, and what it exports is what it says."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jaxalign as ja

PACKAGE = Path(ja.__file__).parent
MODULES = [
    info.name
    for info in pkgutil.walk_packages(ja.__path__, "jaxalign.")
    if not info.name.endswith("__main__")
]
# Adapters of frameworks that need not be installed.
OPTIONAL = {
    "jaxalign.capture._equinox": "equinox",
    "jaxalign.capture._keras": "keras",
    "jaxalign.capture._keras_structure": "keras",
}
# What users import from. Their modules are private, so that a name is the package's or nothing.
NAMESPACES = [
    "alignment",
    "capture",
    "comparison",
    "data",
    "inspection",
    "learning",
    "models",
    "models.weights",
]
NAMESPACES += ["monitoring", "runs", "similarity", "statistics", "training"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported_by_its_name(name):
    """No function of a package hides a module of that name."""
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name], reason="an optional framework")
    scope: dict = {}
    exec(f"import {name} as module", scope)
    assert isinstance(scope["module"], ModuleType)
    assert scope["module"].__name__ == name


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespaces_export_what_they_import_and_have_private_modules(name):
    module = importlib.import_module(f"jaxalign.{name}")
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {
        a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names
    }
    assert imported == set(module.__all__)
    packages = {info.name for info in pkgutil.iter_modules(module.__path__) if info.ispkg}
    modules = {info.name for info in pkgutil.iter_modules(module.__path__)} - packages
    assert [name for name in modules if not name.startswith("_")] == []


def test_few_modules_lie_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= 6


def test_every_public_name_is_there_and_tools_see_it():
    tree = ast.parse(Path(ja.__file__).read_text(encoding="utf-8"))
    (for_tools,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {
        alias.name
        for node in ast.walk(for_tools)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names == set(ja.__all__)
    for name in ja.__all__:
        assert getattr(ja, name) is not None
    assert set(ja.__all__) <= set(dir(ja))
    assert ja.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="module 'jaxalign' has no attribute 'probe'"):
        ja.probe  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, jaxalign; print(*{'jax', 'flax', 'numpy'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""
