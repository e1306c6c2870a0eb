"""How a Keras model is built: what two models have in common that differ in their arrays alone."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras

NAMED = ("name", "keras_history", "input_layers", "output_layers")
"""Settings that hold names of layers."""
STARTS = ("seed", "initializer")
BATCHES = ("batch_shape", "build_input_shape", "build_config")
OTHERS = (*STARTS, *BATCHES, "compile_config")
"""Endings of settings that do not matter: how arrays begin, which batch a model was built with, and
how Keras itself would train.
"""


def structure(model: Any) -> Any:
    """The configuration of a model, with its layers numbered: Keras numbers the names that it
    makes, so those of a second model are others. None where it does not tell the whole.
    """
    if not all(map(_is_told, model._flatten_layers())):
        return None
    try:
        config = [type(model).__module__, type(model).__qualname__, model.get_config()]
    except (NotImplementedError, TypeError, ValueError):
        return None
    layers = set(_names_of_layers(model))
    names = (name for name in _names(config) if name in layers)
    return _numbered(config, {name: i for i, name in enumerate(dict.fromkeys(names))})


def _is_told(layer: Any) -> bool:
    """Whether a configuration tells how a layer is built. That of a user's model does only if the
    user writes it: Keras knows the arguments of a layer, and not those of a model.
    """
    kind = type(layer)
    modules = (kind.__module__, kind.get_config.__module__)
    of_keras, config_of_keras = (name.partition(".")[0] == "keras" for name in modules)
    return of_keras or not config_of_keras or not isinstance(layer, keras.Model)


def _names_of_layers(model: Any) -> Iterator[str]:
    for layer in model._flatten_layers():
        yield layer.name
        # Those of a functional model hold functions, as keras.ops.relu, which have names too.
        yield from (operation.name for operation in getattr(layer, "operations", ()))


def _names(config: Any) -> Iterator[str]:
    """All names in a configuration, in its order."""
    if isinstance(config, Mapping):
        if isinstance(config.get("name"), str):
            yield config["name"]
        for value in config.values():
            yield from _names(value)
    if isinstance(config, list | tuple):
        for value in config:
            yield from _names(value)


def _numbered(config: Any, numbers: Mapping[str, int], *, is_name: bool = False) -> Any:
    if isinstance(config, str) and is_name:
        return numbers.get(config, config)
    if isinstance(config, list | tuple):
        return [_numbered(value, numbers, is_name=is_name) for value in config]
    if isinstance(config, Mapping):
        return {
            key: _numbered(value, numbers, is_name=key in NAMED)
            for key, value in config.items()
            if not str(key).endswith(OTHERS)
        }
    return config
