"""The packages of the extra "studies", which are imported when a study runs."""

from importlib import import_module
from types import ModuleType

PACKAGES = ("pandas", "sklearn", "skimage")


def require(module: str) -> ModuleType:
    """Import a module of the extra, or one that needs the extra.

    Raises:
      ModuleNotFoundError: a package of the extra is not installed; the message says what to type.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in PACKAGES:
            raise
        message = f'studies need {error.name}; pip install "jaxalign[studies]"'
        raise ModuleNotFoundError(message, name=error.name) from None
