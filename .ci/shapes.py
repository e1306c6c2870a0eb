"""The type checker of CI's run of all tests: what functions of the implementation take and return,
and what public functions return.

    PYTHONPATH=.ci pytest --jaxtyping-packages=jaxalign._core,...,shapes.checked

Arguments of public functions are left to their own errors, which say more. Fields of dataclasses
are not checked, because jax fills them with other things than arrays when it maps over a tree.
"""

from collections.abc import Callable

from beartype import beartype

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
