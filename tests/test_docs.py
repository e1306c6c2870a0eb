"""The documentation names everything public, once, and what it links to is there."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import jaxalign as ja

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAMESPACES = [*(name for name in ja.__all__ if name in ja._NAMESPACES), "models.weights"]
PRIVATE = re.compile(r">>> (from|import) jaxalign[.\w]*\._")
LINK = re.compile(r"\]\(([^)#:]+)\)")
HIDDEN = ("_build", "notebooks")  # what a build leaves
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
ROOMS = {name.rpartition(".")[2]: f"jaxalign.{name}" for name in NAMESPACES} | {"ja": "jaxalign"}
USED = re.compile(rf"(?<![\w./])(ja|jaxalign|{'|'.join(ROOMS)})\.([A-Za-z]\w*)(?![\w/])")


def pages() -> list[Path]:
    """README and the pages of the site that are written by hand."""
    files = [file for file in DOCS.rglob("*.md") if not set(HIDDEN) & set(file.parts)]
    assert len(files) > 20
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *files]


def documented(page: str) -> list[str]:
    """The names that a page of the reference documents, in its order."""
    text = (DOCS / "api" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^\.\. auto(?!module)\w+:: jaxalign\.([\w.]+)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMESPACES)
def test_a_page_of_the_reference_documents_every_name_of_its_namespace_once(name):
    public = importlib.import_module(f"jaxalign.{name}").__all__
    page = name.replace(".", "_")
    names = [each.removeprefix(f"{name}.") for each in documented(page)]
    assert sorted(names) == sorted(public), f"docs/api/{page}.md has a section for every name"


def test_names_of_the_package_are_documented_there_or_in_a_namespace():
    elsewhere = {
        each for name in NAMESPACES for each in importlib.import_module(f"jaxalign.{name}").__all__
    }
    names = documented("jaxalign")
    assert len(names) == len(set(names))
    assert set(names) | elsewhere >= set(ja.__all__) - set(ja._NAMESPACES)
    assert not set(names) & elsewhere


@pytest.mark.parametrize("name", ["", *(f".{name}" for name in NAMESPACES)])
def test_a_docstring_says_what_a_function_takes_and_returns_and_whose_idea_it_is(name):
    """Or it says as which other one, as ``resnet34`` does."""
    room = importlib.import_module(f"jaxalign{name}")
    everything = [getattr(room, public) for public in room.__all__]
    assert not any(PRIVATE.search(inspect.getdoc(each) or "") for each in everything)
    for public in filter(inspect.isfunction, everything):
        docstring = inspect.getdoc(public) or ""
        if "Arguments: as ``" in docstring:
            continue
        sections = ["Args:", "Returns:", "Example:", "Source:"]
        if public.__annotations__.get("return") is None:
            sections.remove("Returns:")
        assert [each for each in sections if each not in docstring] == [], public.__name__
        named = {name for name in inspect.signature(public).parameters if name in docstring}
        assert named == set(inspect.signature(public).parameters), public.__name__


def test_readme_is_short_and_links_lead_to_files():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
    for file in pages():
        for target in LINK.findall(file.read_text(encoding="utf-8")):
            copied = DOCS / "notebooks" in (file.parent / target).parents
            place = ROOT / "notebooks" / Path(target).name if copied else file.parent / target
            assert place.exists(), f"{file}: {target}"


def exists(room: str, name: str) -> bool:
    """Whether a room has this name, or is a package with a module of this name."""
    module = ROOMS.get(room, room)
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


def test_what_pages_call_is_there():
    unknown = [
        f"{file.relative_to(ROOT)}: {room}.{name}"
        for file in pages()
        for code in CODE.findall(file.read_text(encoding="utf-8"))
        for room, name in USED.findall(code)
        if not exists(room, name)
    ]
    assert unknown == []


def test_the_guide_to_the_claims_shows_every_study():
    guide = (DOCS / "guides" / "claims.md").read_text(encoding="utf-8")
    figures = sorted((ROOT / "studies").glob("*/figure.png"))
    assert figures
    assert [
        f.parent.name for f in figures if f"studies/{f.parent.name}/figure.png" not in guide
    ] == []
