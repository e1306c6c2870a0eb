"""safetensors files, whose dtypes are looked at before numpy is asked for them."""

from pathlib import Path

import ml_dtypes  # noqa: F401  (its import lets safetensors return bfloat16)
import numpy as np
from safetensors import safe_open

from jaxalign.models.weights._stored import Refused

_INTEGERS = {f"{kind}{bits}" for kind in "IU" for bits in (8, 16, 32, 64)}
_DTYPES = {"BOOL", "F16", "BF16", "F32", "F64", *_INTEGERS}


def is_safetensors(begin: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes begins with the length of a JSON header, and with one."""
    return begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") <= size - 8


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file by name.

    Raises:
      ValueError: a dtype that is not a number of numpy or bfloat16, such as float8.
      SafetensorError: damaged.
    """
    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        for name in names:
            dtype = file.get_slice(name).get_dtype()
            if dtype not in _DTYPES:
                raise Refused(
                    f"its tensor {name!r} is of dtype {dtype}, weights are booleans, integers or "
                    "floats of 16 to 64 bits; save them as float32 with the library that wrote "
                    "them, which knows their scales"
                )
        return {name: file.get_tensor(name) for name in names}
