"""``python tests/models/data/write.py`` writes the files beside it, with torch 2.13; all hold
``tensors()``.
"""

from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np

HERE = Path(__file__).parent


def tensors() -> dict[str, np.ndarray]:
    """Of every dtype, empty, scalar, and not contiguous."""
    steps = np.arange(24).reshape(2, 3, 4)
    return {
        "conv.weight": (steps / 8).astype(np.float32),
        "conv.turned": np.ascontiguousarray((steps / 8).astype(np.float32).T),
        "conv.part": np.ascontiguousarray((steps / 8).astype(np.float32)[:, 1::2, 1:3]),
        "bn.double": (steps / 7).astype(np.float64),
        "bn.half": (steps / 8).astype(np.float16),
        "bn.brain": (steps / 8).astype(ml_dtypes.bfloat16),
        "bn.num_batches_tracked": np.array(2**40, np.int64),
        "int.small": np.array([-128, 127], np.int8),
        "int.short": np.array([-(2**15)], np.int16),
        "int.plain": np.array([-(2**31)], np.int32),
        "int.bytes": np.array([0, 255], np.uint8),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }


def main() -> None:
    """Write them all."""
    import torch
    from safetensors.torch import save_file

    weight = (torch.arange(24).reshape(2, 3, 4) / 8).float()
    views = {
        "conv.weight": torch.nn.Parameter(weight),
        "conv.turned": weight.T,
        "conv.part": weight[:, 1::2, 1:3],
    }
    others = {
        name: torch.from_numpy(array.astype(np.float32)).bfloat16()
        if name == "bn.brain"
        else torch.from_numpy(array)
        for name, array in tensors().items()
        if name not in views
    }
    state = OrderedDict(views | others)
    state._metadata = OrderedDict({"": {"version": 1}})
    wrapped = {
        "epoch": 3,
        "state_dict": OrderedDict({f"module.{name}": value for name, value in state.items()}),
    }
    torch.save(state, HERE / "zip.pth")
    torch.save(wrapped, HERE / "zip_checkpoint.pth")
    torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(wrapped, HERE / "legacy_checkpoint.pth", _use_new_zipfile_serialization=False)
    save_file(
        {name: value.detach().contiguous().clone() for name, value in state.items()},
        HERE / "plain.safetensors",
    )


if __name__ == "__main__":
    main()
