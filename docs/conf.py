"""The documentation: ``sphinx-build -W --keep-going docs docs/_build/html``. It needs no network.

Notebooks are shown with their committed outputs, which a test compares with a run. The
gallery is executed here. Examples of docstrings and guides are executed by pytest.
"""

import inspect
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.ext.autodoc.preserve_defaults import update_defvalue
from sphinx.util.inspect import stringify_signature

import jaxalign

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "jaxalign"
author = PROJECT["authors"][0]["name"]
project_copyright = f"2026, {author}"
version = release = jaxalign.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_llms_txt",
]
exclude_patterns = ["_build"]
nitpicky = True
# What other packages document is theirs, and no inventory is loaded. Private names of ours are not
# documented.
nitpick_ignore_regex = [("py:.*", r"(?!jaxalign\.).*"), ("py:.*", r".*\._.*")]

autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "none"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_use_rtype = False

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_excludepatterns = ["notebooks/*"]
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_code_prompt_show = "Show how it is drawn"
nb_code_prompt_hide = "Hide how it is drawn"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"jaxalign {version}"
html_static_path = ["_static"]
html_css_files = ["jaxalign.css"]
html_show_sphinx = False
urls = PROJECT.get("urls", {})
if "Documentation" in urls:
    html_baseurl = urls["Documentation"]
if "Repository" in urls:
    html_theme_options = {
        "source_repository": urls["Repository"],
        "source_branch": "main",
        "source_directory": "docs/",
    }

llms_txt_summary = PROJECT["description"]


def without_blank_last_lines(app: Sphinx, document: str, source: list[str]) -> None:
    """Examples end with a blank line for doctest, which would take the fence for output."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def in_restructured_text(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """``Source: text``, which ends our docstrings, is a section for napoleon. The star of a shape
    such as (*batch, r) is no emphasis, bars are absolute values, and a last underscore is no link.
    """
    text = re.sub(r"(?m)^Source: (.*)", r"Source:\n  \1", "\n".join(lines))
    prose_and_code = re.split(r"(``[^`]*``|^ *>>> .*$)", text, flags=re.MULTILINE)
    prose_and_code[::2] = [escaped(prose) for prose in prose_and_code[::2]]
    lines[:] = "".join(prose_and_code).split("\n")


def escaped(prose: str) -> str:
    """Words of a docstring without what reStructuredText would take for marks."""
    prose = re.sub(r"\|(\w[^|\n]*)\|", r"\|\1\|", prose.replace("(*", r"(\*"))
    return re.sub(r"(?<=\w)_(?=\W)", r"\_", prose)


def with_arguments(
    app: Sphinx, what: str, name: str, obj: Any, options: object, arguments: str | None, result: str
) -> tuple[str, str | None] | None:
    """The arguments of a flax module, which the call of its metaclass hides; none of a protocol."""
    if what != "class" or arguments != "(*args, **kwargs)":
        return None
    if getattr(obj, "_is_protocol", False):
        return "", None
    update_defvalue(app, obj.__init__, bound_method=False)
    _, *own = inspect.signature(obj.__init__).parameters.values()
    return stringify_signature(inspect.Signature(own), show_annotation=False), None


def is_left_out(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Fields of a NamedTuple are among its attributes already."""
    return (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") or None


def with_levels(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Captions of the navigation are headings; which level is left out."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


# The attributes of a class are fields "Variables" by default.
for field in PyObject.doc_field_types:
    if field.name == "variable":
        field.label = "Attributes"


def setup(app: Sphinx) -> None:
    shutil.copytree(ROOT / "notebooks", ROOT / "docs" / "notebooks", dirs_exist_ok=True)
    app.connect("source-read", without_blank_last_lines)
    app.connect("autodoc-process-docstring", in_restructured_text, priority=400)
    app.connect("autodoc-process-signature", with_arguments)
    app.connect("html-page-context", with_levels, priority=600)
    app.connect("autodoc-skip-member", is_left_out)
