"""Tensors from a file of weights, or from the shards of a large model."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from jaxalign.models.weights._file import tensors_in
from jaxalign.models.weights._paths import located
from jaxalign.models.weights._shards import is_index, require_names, shards
from jaxalign.models.weights._stored import Refused

Content = TypeVar("Content")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors in a file of weights, by name.

    Formats are safetensors, torch.save (zip or legacy), .npz, pickles of arrays, and an index of
    shards ("model.safetensors.index.json") with them beside it. A prefix ``module.`` of all names
    is removed. Nested dicts and lists give dotted names, "conv1.0". Pickles are run by a reader
    that can build tensors and nothing else.

    From a checkpoint, only its state dict is read: what it calls ``state_dict``,
    ``model_state_dict``, ``model``, ``module``, ``net`` or ``network``.

    Args:
      path: the file, with any name; or the folder of an index, or of one .safetensors or .bin file.

    Returns:
      name → array with the shape, dtype (also bfloat16) and strides it was saved with. Arrays may
      share memory and be read-only.

    Raises:
      FileNotFoundError: no such file, or a shard is missing.
      TypeError: no path.
      ValueError: another format; a truncated or damaged file; content other than booleans, integers
        and floats, such as float8; shards that are not those of the index; a pickle that asks for a
        global that no file of tensors needs, which the message names; several state dicts; a pipe
        or a device.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.models.weights import read
      >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
      ...     np.savez(file, **{"module.fc.weight": np.ones((2, 3), np.float16)})
      ...     _ = file.flush()
      ...     {name: (a.shape, a.dtype.name) for name, a in read(file.name).items()}
      {'fc.weight': ((2, 3), 'float16')}

    Source: ours; the formats are those of safetensors, torch and numpy.
    """
    file = located(path)
    tensors: dict[str, np.ndarray] = {}
    if _checked(_is_index, file):
        for shard, names in _checked(shards, file).items():
            part = _checked(tensors_in, shard)
            require_names(shard, set(part), names)
            tensors |= part
    else:
        tensors = _checked(tensors_in, file)
    return _without_prefix(tensors, "module.")


def _is_index(path: Path) -> bool:
    with path.open("rb") as file:
        return is_index(file.read(16))


def _checked(parse: Callable[[Path], Content], path: Path) -> Content:
    """``parse(path)``, whose errors name the path."""
    try:
        return parse(path)
    except Refused as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} lists a shard that is missing: {error}") from None
    except Exception as error:
        # Anything: libraries raise what they like on damaged files.
        raise ValueError(
            f"{path} cannot be read: {str(error) or type(error).__name__}; "
            "fetch it again if it should be weights"
        ) from error


def _without_prefix(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    if not all(name.startswith(prefix) for name in tensors):
        return tensors
    return {name.removeprefix(prefix): array for name, array in tensors.items()}
