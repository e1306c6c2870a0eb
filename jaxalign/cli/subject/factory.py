"""A model of the user's own: `path/to/module.py:factory`, loaded from its file."""

import inspect
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import flax.linen
from flax import nnx

from jaxalign.capture._networks import for_inference, split_model

RETURNS = (
    "a flax.nnx.Module, a pair (flax.linen.Module, variables), an equinox module or (module, "
    "State), or a Keras model"
)


class Made(NamedTuple):
    """A model as ``tap`` takes it, and its state."""

    model: Any
    state: Any


def is_factory(text: str) -> bool:
    """Whether a model is given as path/to/module.py:factory."""
    return ".py:" in text or text.endswith(".py")


def make(text: str) -> Made:
    """The model that the factory at `path/to/module.py:factory` returns when it is called without
    arguments.

    The name may also be that of a module class without arguments, or of a model itself.

    Raises:
      FileNotFoundError: no such file.
      ValueError: no factory is named or none of that name is there; it needs arguments; importing
        or calling it raises; it returns something else.
    """
    path, _, name = text.rpartition(":")
    if not name.isidentifier():
        raise ValueError(
            f"{text} names no factory; write path/to/module.py:factory, "
            f"whose factory() returns {RETURNS}"
        )
    module = _load(Path(path))
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise ValueError(
            f"{path} has no {name!r}; what can be called in it: {', '.join(own) or 'nothing'}"
        )
    model = getattr(module, name)
    if not isinstance(model, nnx.Module | tuple):
        model = _call(model, text, Path(path))
    return _as_made(model, text)


def _as_made(model: Any, text: str) -> Made:
    match model:
        case nnx.Module():
            model.eval()
            return Made(model, nnx.state(model))
        case (flax.linen.Module() as module, variables):
            return Made(module, variables)
        case flax.linen.Module():
            raise ValueError(f"{text} returned a linen module without variables; return {RETURNS}")
    model = for_inference(model)
    try:
        state = split_model(model, None).state
    except TypeError:
        described = type(model).__name__
        if isinstance(model, tuple):
            described = str([type(x).__name__ for x in model])
        raise ValueError(f"{text} must return {RETURNS}, found {described}") from None
    return Made(model[0] if isinstance(model, tuple) else model, state)


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file at {path}; a model of your own is given as path/to/module.py:factory"
        )
    name = f"_jaxalign_model_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Dataclasses and pickle look a class's module up there.
    sys.modules[name] = module
    # Its neighbours are importable, as when it is run as a script.
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"importing {path} raised {raised(error, path)}") from error
    finally:
        sys.path.remove(folder)
    return module


def _call(factory: Any, text: str, path: Path) -> Any:
    if not callable(factory):
        raise ValueError(
            f"{text} must be callable and return {RETURNS}, found {type(factory).__name__}"
        )
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ValueError(
            f"{text} must be callable without arguments ({error}); give them defaults"
        ) from None
    try:
        return factory()
    except Exception as error:
        raise ValueError(f"{text} raised {raised(error, path)}") from error


def raised(error: Exception, path: Path | None = None) -> str:
    """An exception in a line: type, first line of its message, and where in a file it came from."""
    message = (str(error).strip().splitlines() or [""])[0]
    text = f"{type(error).__name__}: {message}"
    if isinstance(error, SyntaxError):
        return f"{text} (line {error.lineno} of {path})"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and Path(frame.filename) == path]
    return f"{text} (line {lines[-1]} of {path})" if lines else text
