"""The type checker of CI's run of all tests: what functions of the implementation take and return,
and what public functions return.

    PYTHONPATH=.ci pytest -p shapes --jaxtyping-packages=jaxalign._core,...,shapes.checked

Arguments of public functions are left to their own errors, which say more. Fields of dataclasses
are not checked, because jax fills them with other things than arrays when it maps over a tree.
"""

import ast
from collections.abc import Callable

from beartype import beartype
from jaxtyping import _import_hook

# Modules whose functions are only called by others of the package, with checked arrays.
IMPLEMENTATION = (
    "jaxalign._core.lapack",
    "jaxalign._core.linalg",
    "jaxalign._spectrum.bidiagonal",
    "jaxalign._spectrum.decomposition",
    "jaxalign._spectrum.radau",
    "jaxalign._spectrum.routes",
    "jaxalign._spectrum.row_products",
    "jaxalign._spectrum.solve",
)


def checked(function: Callable) -> Callable:
    """``function`` with its annotations enforced, of public modules those of results only."""
    if not function.__module__.startswith(IMPLEMENTATION):
        annotations = function.__annotations__
        function.__annotations__ = {k: v for k, v in annotations.items() if k == "return"}
    return beartype(function)


class OnlyShapes(_import_hook.JaxtypingTransformer):
    """Leaves out functions without a shape in their annotations, of which mypy knows as much. Many
    are inside of other functions, where the check would be compiled again in each trace.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if has_shapes(node):
            return super().visit_FunctionDef(node)
        self.generic_visit(node)
        return node


def has_shapes(function: ast.FunctionDef) -> bool:
    """Whether an annotation holds a string, as that of ``Float[Array, "n d"]`` does."""
    annotations = [each.annotation for each in ast.walk(function.args) if isinstance(each, ast.arg)]
    parts = [part for each in (*annotations, function.returns) if each for part in ast.walk(each)]
    return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts)


_import_hook.JaxtypingTransformer = OnlyShapes
