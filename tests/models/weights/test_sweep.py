"""Files of weights of every kind: container × dtype × layout × naming × damage.

Each comes back with the same numbers or is refused by a ValueError that names the file.
"""

import itertools
import json
import pickle
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

from jaxalign.models.weights import read

READABLE = [
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
]  # fmt: skip
REFUSED = ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "int4", "complex64"]
STORAGES = {
    "float64": "Double", "float32": "Float", "float16": "Half", "bfloat16": "BFloat16",
    "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte",
    "bool": "Bool", "complex64": "ComplexFloat",
}  # fmt: skip
LETTERS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "complex64": "C64",
}  # fmt: skip
LAYOUTS = ["plain", "turned", "part", "scalar", "empty", "swapped"]
NAMINGS = {
    "plain": lambda w: w,
    "prefixed": lambda w: {f"module.{name}": array for name, array in w.items()},
    "nested": lambda w: {"net": {"fc": list(w.values())}, "head": {"bias": w["fc.bias"]}},
    "state_dict": lambda w: {"state_dict": w, "epoch": 3, "arch": "resnet"},
    "model_state_dict": lambda w: {
        "model_state_dict": w, "epoch": 3, "loss": 0.1, "optimizer_state_dict": OPTIMIZER,
    },
    "scalars beside": lambda w: {"model_state_dict": w, "loss": np.float32(0.5)},
    "net": lambda w: {"net": w, "acc": 91.2, "epoch": 3},
    "twice wrapped": lambda w: {"model": {"state_dict": w, "version": 1}, "optimizer": OPTIMIZER},
    "ambiguous": lambda w: {"model": w, "state_dict": w | {"more": w["fc.bias"]}, "epoch": 3},
    "bare epoch": lambda w: w | {"epoch": 3},
    "optimizer alone": lambda w: OPTIMIZER,
}  # fmt: skip
SHARED = (0.9, 0.999)
OPTIMIZER = {
    "state": {0: {"step": 7, "exp_avg": np.ones(2, np.float32)}},
    "param_groups": [{"lr": 0.1, "betas": SHARED}, {"lr": 0.2, "betas": SHARED}],
}
DAMAGES = ["cut to a third", "cut by a byte", "emptied", "other magic", "longer"]
RIGHT, NAMED, EITHER = {"right"}, {"refused"}, {"right", "refused"}


class Case(NamedTuple):
    """A file: its container, dtype, layout, names and damage, and what may become of it."""

    container: str
    dtype: str = "float32"
    layout: str = "plain"
    naming: str = "plain"
    damage: str = ""
    allowed: set[str] = RIGHT


def numbers(dtype, layout):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    grid = (np.arange(24).reshape(2, 3, 4) % 7).astype(dtype)
    made = {
        "plain": grid,
        "turned": grid.T,
        "part": grid[:, 1::2, 1:3],
        "scalar": grid[1, 1, 1],
        "empty": grid[:0],
        "swapped": grid,
    }
    array = np.asarray(made[layout])
    if layout == "swapped" and dtype.name in STORAGES and dtype.name != "bfloat16":
        return array.astype(dtype.newbyteorder(">"))
    return array


def weights(case):
    return {
        "fc.weight": numbers(case.dtype, case.layout),
        "fc.bias": np.arange(3, dtype=np.float32),
    }


def native(array):
    return array.astype(array.dtype.newbyteorder("="))


def raw_safetensors(arrays):
    """With any dtype, which the library would refuse to write."""
    header, body = {}, b""
    for name, array in arrays.items():
        array = np.asarray(array)
        raw = native(array).tobytes()
        letters = LETTERS[array.dtype.name]
        offsets = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": letters, "shape": list(array.shape), "data_offsets": offsets}
        body += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


class TorchProgram:
    """The pickle of a saved object in torch's opcodes, and its storages."""

    def __init__(self, made):
        self.made = made
        self.storages = {}

    def write(self, value):
        match value:
            case np.ndarray() | np.generic():
                return self.tensor(np.asarray(value))
            case dict():
                return (
                    b"}(" + b"".join(self.key(k) + self.write(v) for k, v in value.items()) + b"u"
                )
            case list():
                return b"](" + b"".join(map(self.write, value)) + b"e"
            case tuple():
                return self.made.pack(*map(self.write, value))
            case str():
                return self.made.text(value)
        return pickle.dumps(value, 2)[2:-1]

    def key(self, key):
        return self.made.text(key) if isinstance(key, str) else self.made.number(key)

    def tensor(self, array):
        flat = native(np.ascontiguousarray(array)).ravel()
        key = str(len(self.storages))
        self.storages[key] = (flat.size, flat.tobytes())
        strides = [int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim)]
        kind = f"{STORAGES[array.dtype.name]}Storage"
        of = self.made.storage(kind, key, flat.size)
        return self.made.tensor(of, 0, array.shape, tuple(strides))


def write_torch(made, path, value, write):
    program = TorchProgram(made)
    body = made.program(program.write(value))
    if write == "torch zip":
        made.write_zip(path, body, {key: raw for key, (_, raw) in program.storages.items()})
    else:
        made.write_legacy(path, body, program.storages)


def write_index(folder, value, write_shard):
    shards = [f"model-0000{i + 1}-of-0000{len(value)}.weights" for i in range(len(value))]
    for shard, (name, array) in zip(shards, value.items(), strict=True):
        write_shard(folder / shard, {name: array})
    index = {"metadata": {}, "weight_map": dict(zip(value, shards, strict=True))}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


def write(made, folder, case):
    """The path of the file, or of the folder."""
    value = NAMINGS[case.naming](weights(case))
    path = folder / "file"
    match case.container:
        case "safetensors":
            path.write_bytes(raw_safetensors(value))
        case "shards" | "folder of shards":
            path = write_index(folder, value, lambda p, v: p.write_bytes(raw_safetensors(v)))
        case "torch shards":
            path = write_index(folder, value, lambda p, v: write_torch(made, p, v, "torch zip"))
        case "npz" | "packed npz":
            save = np.savez if case.container == "npz" else np.savez_compressed
            with path.open("wb") as file:
                save(file, **value)
        case "pickle 2" | "pickle 5":
            path.write_bytes(pickle.dumps(value, int(case.container[-1])))
        case _:
            write_torch(made, path, value, case.container)
    if case.damage:
        damage(path, case.damage)
    return folder if case.container == "folder of shards" else path


def damage(path, kind):
    raw = path.read_bytes()
    damaged = {
        "cut to a third": raw[: len(raw) // 3],
        "cut by a byte": raw[:-1],
        "emptied": b"",
        "longer": raw + bytes(9),
        "other magic": b"\x89HDF\r\n\x1a\n" + raw[8:],
    }
    path.write_bytes(damaged[kind])


PICKLED = ["torch zip", "torch legacy", "pickle 2", "pickle 5"]
NAMED_ALONE = ["safetensors", "shards", "folder of shards", "torch shards", "npz", "packed npz"]
CONTAINERS = [*NAMED_ALONE, *PICKLED]
IN_TORCH = ["torch zip", "torch legacy", "torch shards"]
CHECKSUMS = ["torch zip", "npz", "packed npz"]


def cases():
    for container, dtype, layout in itertools.product(CONTAINERS, READABLE, LAYOUTS):
        yield Case(container, dtype, layout)
    for container, dtype in itertools.product(CONTAINERS, REFUSED):
        writable = STORAGES if container in IN_TORCH else LETTERS
        if dtype in writable or container not in [*IN_TORCH, *NAMED_ALONE[:4]]:
            yield Case(container, dtype, allowed=NAMED)
    for container, naming in itertools.product(PICKLED, NAMINGS):
        refused = naming in ("ambiguous", "bare epoch", "optimizer alone")
        yield Case(container, naming=naming, allowed=NAMED if refused else RIGHT)
    for container in NAMED_ALONE:
        yield Case(container, naming="prefixed")
    for container, kind in itertools.product(CONTAINERS, DAMAGES):
        # Something may lie around a zip file.
        uncertain = kind == "longer" and container in CHECKSUMS
        yield Case(container, damage=kind, allowed=EITHER if uncertain else NAMED)


def verdict(path, case, within):
    """What becomes of a file, in a word."""
    wanted = weights(case)
    if case.naming == "nested":
        weight, bias = wanted.values()
        wanted = {"net.fc.0": weight, "net.fc.1": bias, "head.bias": bias}
    try:
        with within(5):
            found = read(path)
    except TimeoutError:
        return "hangs"
    except (ValueError, FileNotFoundError) as error:
        folder = path if path.is_dir() else path.parent
        return "refused" if str(folder) in str(error) else f"unnamed: {error}"
    except Exception as error:
        return f"foreign: {type(error).__name__}"
    same = set(found) == set(wanted) and all(
        found[name].dtype == native(array).dtype
        and found[name].shape == array.shape
        and found[name].tobytes() == native(array).tobytes()
        for name, array in wanted.items()
    )
    return "right" if same else "wrong"


@pytest.mark.slow
def test_every_file_of_weights_is_read_right_or_refused_by_name(made, within, tmp_path):
    swept = list(cases())
    assert len(swept) >= 300
    surprises = {}
    for number, case in enumerate(swept):
        folder = tmp_path / str(number)
        folder.mkdir()
        became = verdict(write(made, folder, case), case, within)
        if became not in case.allowed:
            surprises[case[:5]] = became
    assert not surprises


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_no_change_of_a_few_bytes_ends_in_another_exception(made, within, tmp_path, container, rng):
    """Nor in other numbers, where there are checksums."""
    case = Case(container)
    path = write(made, tmp_path, case)
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    allowed = EITHER if container in CHECKSUMS else EITHER | {"wrong"}
    surprises = {}
    for number in range(100):
        file = files[number % len(files)]
        raw = file.read_bytes()
        file.write_bytes(changed(raw, rng))
        became = verdict(path, case, within)
        if became not in allowed:
            surprises[number] = became
        file.write_bytes(raw)
    assert not surprises


def changed(raw, rng):
    """With a bit flipped, or with bytes left out or put in."""
    place = int(rng.integers(len(raw)))
    count = int(rng.choice([1, 2, 8]))
    flipped = bytes([raw[place] ^ (1 << rng.integers(8))])
    middle, skipped = [(flipped, 1), (b"", count), (rng.bytes(count), 0)][rng.integers(3)]
    return raw[:place] + middle + raw[place + skipped :]
