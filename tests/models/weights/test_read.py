import importlib.util
import pickle
import warnings
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxalign.models.weights import read

DATA = Path(__file__).parents[1] / "data"
FILES = [
    "zip.pth",
    "zip_checkpoint.pth",
    "legacy.pth",
    "legacy_checkpoint.pth",
    "plain.safetensors",
]


def written():
    """``tensors()`` of the script that wrote the files."""
    spec = importlib.util.spec_from_file_location("write", DATA / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tensors()


def assert_same(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].dtype.isnative
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("file", FILES)
def test_every_dtype_shape_and_stride_comes_back(file):
    assert_same(read(DATA / file), written())


@pytest.mark.parametrize("file", FILES)
def test_the_name_of_a_file_says_nothing(tmp_path, file):
    (tmp_path / "weights.txt").write_bytes((DATA / file).read_bytes())
    assert_same(read(tmp_path / "weights.txt"), written())


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_what_this_torch_writes(tmp_path, rng, zipped):
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: only the files it wrote before are read"
    )
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2).double()
    )
    model[0].weight.data = torch.from_numpy(
        rng.standard_normal((3, 4, 3, 3)).astype(np.float32)
    ).transpose(0, 1)
    saved = {
        "model": model.state_dict(),
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(),
        "epoch": 3,
    }
    torch.save(saved, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    assert_same(
        read(tmp_path / "file"), {name: value.numpy() for name, value in model.state_dict().items()}
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_npz(tmp_path, save):
    arrays = {name: array for name, array in written().items() if array.dtype != ml_dtypes.bfloat16}
    arrays["fortran"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    save(tmp_path / "file.npz", **arrays, swapped=np.arange(3, dtype=">i4"))
    assert_same(read(tmp_path / "file.npz"), arrays | {"swapped": np.arange(3, dtype=np.int32)})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_pickles_of_arrays_of_every_protocol(tmp_path, protocol):
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    layers = {
        "conv1": [kernel, np.arange(3, dtype=">f8")],
        "norm": {"scale": np.asfortranarray(kernel), "flags": np.array([[True]])},
        "step": np.float16(1.5),
        "half": np.ones((2, 0), np.float16),
    }
    (tmp_path / "file").write_bytes(pickle.dumps(layers, protocol))
    wanted = {
        "conv1.0": kernel,
        "conv1.1": np.arange(3.0),
        "norm.scale": kernel,
        "norm.flags": np.array([[True]]),
    }
    assert_same(
        read(tmp_path / "file"),
        wanted | {"step": np.array(1.5, np.float16), "half": np.ones((2, 0), np.float16)},
    )


def test_reads_python_2_pickles_of_numpy_1(tmp_path):
    """Text is bytes there, the module is numpy.core, and the memo begins at 1."""
    raw = (
        b"\x80\x02}q\x01U\x05conv1cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\0\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\0K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        b"\x89U\x08\0\0\x80\x3f\0\0\x80\xc0tbs."
    )
    (tmp_path / "file").write_bytes(raw)
    assert_same(read(tmp_path / "file"), {"conv1": np.array([1, -4], np.float32)})


@pytest.mark.parametrize(
    ("kind", "dtype"), [("FloatStorage", np.float32), ("BFloat16Storage", ml_dtypes.bfloat16)]
)
def test_reads_what_big_endian_machines_wrote(made, tmp_path, kind, dtype):
    numbers = np.arange(6).astype(dtype)
    body = made.program(
        made.mapping({"w": made.tensor(made.storage(kind, "0", 6), 0, (2, 3), (3, 1))})
    )
    path = made.write_zip(
        tmp_path / "file",
        body,
        {"0": numbers.view(f"u{numbers.itemsize}").byteswap().tobytes()},
        b"big",
    )
    assert_same(read(path), {"w": numbers.reshape(2, 3)})


def test_tensors_of_one_storage_share_its_memory(made, tmp_path):
    of = made.storage("FloatStorage", "0", 6)
    body = made.program(
        made.mapping(
            {
                "rows": made.tensor(of, 0, (2, 3), (3, 1)),
                "columns": made.tensor(of, 1, (2, 2), (1, 3)),
            }
        )
    )
    numbers = np.arange(6, dtype=np.float32)
    for path in (
        made.write_zip(tmp_path / "zip", body, {"0": numbers.tobytes()}, order=None),
        made.write_legacy(tmp_path / "legacy", body, {"0": (6, numbers.tobytes())}),
    ):
        found = read(path)
        assert_same(found, {"rows": numbers.reshape(2, 3), "columns": numbers.reshape(2, 3).T[1:]})
        assert np.shares_memory(found["rows"], found["columns"])


def test_safetensors_with_a_header_whose_length_begins_like_json(tmp_path):
    for width in range(1, 200):
        save_file({"w" * width: np.ones(2, np.float32)}, tmp_path / "file")
        assert list(read(tmp_path / "file")) == ["w" * width]


def test_a_prefix_is_cut_off_only_if_all_names_have_it(tmp_path):
    save_file({"module.a": np.ones(1), "b": np.ones(1)}, tmp_path / "file")
    assert set(read(tmp_path / "file")) == {"module.a", "b"}


@pytest.mark.parametrize("file", FILES)
def test_every_truncation_is_noticed(tmp_path, file):
    raw = (DATA / file).read_bytes()
    for cut in range(0, len(raw), max(1, len(raw) // 97)):
        (tmp_path / "file").write_bytes(raw[:cut])
        with pytest.raises(ValueError, match=r"file cannot be read: "):
            read(tmp_path / "file")


@pytest.mark.parametrize("file", FILES)
def test_damage_is_an_error_of_the_file_and_never_another(tmp_path, file, rng):
    """Only zip files have checksums, so only there no number changes unnoticed."""
    raw = (DATA / file).read_bytes()
    wanted = written()
    changed = 0
    for place in rng.integers(0, len(raw), 150):
        (tmp_path / "file").write_bytes(
            raw[:place] + bytes([raw[place] ^ (1 << rng.integers(8))]) + raw[place + 1 :]
        )
        try:
            found = read(tmp_path / "file")
        except ValueError:
            continue
        changed += any(
            name not in found or found[name].tobytes() != array.tobytes()
            for name, array in wanted.items()
        )
    assert changed == 0 or not file.startswith("zip")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "begins with b''"),
        (b"\x89HDF\r\n\x1a\n", "begins with .*HDF.*, which is neither safetensors"),
        (b"version https://git-lfs.github.com/spec/v1", "begins with b'version https://"),
        (b'{"weight_map": {}}', "JSON without a weight_map"),
        (b"PK\5\6" + bytes(18), "a zip file of nothing"),
        (pickle.dumps([np.ones(2)]), "holds list, not tensors by name"),
        (pickle.dumps({"epoch": 3}), "holds int under 'epoch', where a tensor should be"),
        (pickle.dumps({"w": ("a", 1)}), "holds str under 'w.0'"),
        (pickle.dumps({(1, 2): np.ones(2)}), r"has the key \(1, 2\), a tuple"),
        (pickle.dumps({"a.0": np.ones(2), "a": [np.ones(2)]}), "two tensors under 'a.0'"),
        (pickle.dumps({"w": np.ones(2, complex)}), "array of dtype 'c16'"),
        (pickle.dumps({"w": np.array(["text"])}), "array of dtype 'U4'"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path, raw, message):
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "file")


W = {"w": np.ones(2, np.float32)}


@pytest.mark.parametrize(
    ("checkpoint", "wanted"),
    [
        ({"model_state_dict": W, "epoch": 3, "optimizer_state_dict": {"lr": 0.1}}, {"w"}),
        ({"model_state_dict": W, "loss": np.float32(0.5)}, {"w"}),
        ({"model": {"name": "resnet", "depth": 50}, "state_dict": W}, {"w"}),
        ({"model": {"state_dict": W, "version": 1}, "epoch": 3}, {"w"}),
        ({"net": W, "acc": 91.2}, {"w"}),
        ({"net": W, "head": {"b": W["w"]}}, {"net.w", "head.b"}),
        ({"encoder": W}, {"encoder.w"}),
    ],
)
def test_of_a_checkpoint_the_state_dict_is_read(tmp_path, checkpoint, wanted):
    (tmp_path / "file").write_bytes(pickle.dumps(checkpoint))
    assert set(read(tmp_path / "file")) == wanted


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ({"model": W, "state_dict": W | {"v": W["w"]}}, "holds weights under state_dict and model"),
        ({"state_dict": W | {"n": 3}}, "holds int under 'n', where a tensor should be"),
        ({"generator": W, "discriminator": W.copy(), "epoch": 3}, "holds int under 'epoch'"),
        ({"state": {0: W}, "param_groups": [{"lr": 0.1}]}, "float under 'param_groups.0.lr'"),
    ],
)
def test_what_could_be_several_state_dicts_or_none_is_refused(tmp_path, checkpoint, message):
    (tmp_path / "file").write_bytes(pickle.dumps(checkpoint))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "file")


def test_a_file_is_read_to_its_end(tmp_path):
    (tmp_path / "file").write_bytes(pickle.dumps(W) + pickle.dumps({"v": W["w"]}))
    with pytest.raises(ValueError, match=r"its pickle ends at byte \d+ of \d+"):
        read(tmp_path / "file")


def test_two_entries_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "file", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in (1.0, 2.0):
            with archive.open("w.npy", "w") as entry:
                np.save(entry, np.full(2, value))
    with pytest.raises(ValueError, match="lists 2 entries, found 1 by name"):
        read(tmp_path / "file")


def test_an_npz_with_bytes_of_other_dtypes_is_refused(tmp_path):
    """Of float8 and int4 nothing but their size is written."""
    for dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.int4):
        np.savez(tmp_path / "file.npz", w=np.ones(2, dtype))
        with pytest.raises(ValueError, match=r"w.npy is of dtype \|V1, weights are"):
            read(tmp_path / "file.npz")


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "uint16", "float4_e2m1fn_x2"])
def test_dtypes_that_torch_saves_without_a_storage_class_are_named(made, tmp_path, dtype):
    of = made.storage("FloatStorage", "0", 2).replace(
        b"ctorch\nFloatStorage\n", b"ctorch.storage\nUntypedStorage\n"
    )
    sizes = [made.pack(made.number(size)) for size in (2, 1)]
    settings = [of, made.number(0), *sizes, b"\x89", b"}", f"ctorch\n{dtype}\n".encode()]
    tensor = b"ctorch._utils\n_rebuild_tensor_v3\n" + made.pack(*settings) + b"R"
    raw = made.program(made.mapping({"w": tensor}))
    with pytest.raises(ValueError, match=f"it asks for torch.{dtype}, which"):
        read(made.write_zip(tmp_path / "file", raw, {"0": bytes(2)}))


def test_a_tensor_that_is_negated_when_read_is_refused(made, tmp_path):
    """Its sign is in the metadata, not in its numbers."""
    tensor = made.tensor(made.storage("FloatStorage", "0", 2), 0, (2,), (1,))
    assert tensor.endswith(b"\x89}tR")
    negated = tensor.removesuffix(b"tR") + made.mapping({"neg": b"\x88"}) + b"tR"
    path = made.write_zip(
        tmp_path / "file", made.program(made.mapping({"w": negated})), {"0": bytes(8)}
    )
    with pytest.raises(ValueError, match=r"builds a tensor with \{'neg': True\}"):
        read(path)
