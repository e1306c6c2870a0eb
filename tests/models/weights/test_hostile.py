import builtins
import copyreg
import os
import pickle
import subprocess
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxalign.models.weights import read


class Calls:
    """Pickles to a call of ``function``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Popen(Calls):
    """Pickles to an instance, by the opcodes for these."""

    __class__ = property(lambda self: subprocess.Popen)

    def __reduce_ex__(self, protocol):
        return copyreg.__newobj__, (subprocess.Popen, *self.call[1])


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.fixture
def refused(tmp_path, marker):
    """``refused(path, message)``: reading raises that message, and nothing has run."""

    def check(path, message):
        with pytest.raises(ValueError, match=message):
            read(path)
        assert not marker.exists()

    return check


def exploits(marker):
    touch, write = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    return {
        "system": Calls(os.system, touch),
        "eval": Calls(eval, write),
        "exec": Calls(exec, write),
        "getattr": Calls(builtins.getattr, Calls(__import__, "os"), "system"),
        "open": Calls(open, str(marker), "w"),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", exploits(""))
def test_calls_are_refused_by_name(tmp_path, marker, refused, write_program, name, protocol):
    raw = pickle.dumps({"weight": exploits(marker)[name]}, protocol)
    refused(
        write_program(tmp_path / "file", raw),
        rf"asks for (posix|builtins|__builtin__|io|_io)\.{name}, ",
    )


@pytest.mark.parametrize("name", ["system", "eval", "exec", "open"])
def test_the_exploits_are_real(marker, name):
    """Or the tests above would show nothing."""
    opened = pickle.loads(pickle.dumps(exploits(marker)[name]))
    if name == "open":
        opened.close()
    assert marker.exists()


def by_opcodes(command):
    line = f"S'{command}'\n".encode()

    def short(word):
        return b"\x8c" + bytes([len(word)]) + word.encode()

    return {
        "INST": (b"(" + line + b"ios\nsystem\n.", "os.system"),
        "OBJ": (b"(cos\nsystem\n" + line + b"o.", "os.system"),
        "REDUCE": (b"cos\nsystem\n(" + line + b"tR.", "os.system"),
        "NEWOBJ": (b"\x80\x02csubprocess\nPopen\n(" + line + b"t\x81.", "subprocess.Popen"),
        "NEWOBJ_EX": (b"\x80\x04csubprocess\nPopen\n(" + line + b"t}\x92.", "subprocess.Popen"),
        "STACK_GLOBAL": (
            b"\x80\x04" + short("os") + short("system") + b"\x93(" + line + b"tR.",
            "os.system",
        ),
        "through an allowed name": (
            b"\x80\x04"
            + short("collections")
            + short("OrderedDict.__init__.__globals__")
            + b"\x93.",
            "collections.OrderedDict.__init__",
        ),
        "through a module": (
            b"\x80\x04" + short("torch._utils") + short("torch.load") + b"\x93.",
            "torch._utils.torch.load",
        ),
        "numpy's own": (
            b"cnumpy.testing._private.utils\nrunstring\n(" + line + b"}tR.",
            "numpy.testing._private.utils.runstring",
        ),
        "numpy's loader": (b"cnumpy\nload\n(" + line + b"tR.", "numpy.load"),
        "torch's loader": (b"ctorch.hub\nload\n(" + line + b"tR.", "torch.hub.load"),
    }


@pytest.mark.parametrize("way", by_opcodes(""))
def test_every_way_to_a_global_is_refused_by_name(tmp_path, marker, refused, write_program, way):
    raw, name = by_opcodes(f"touch {marker}")[way]
    refused(write_program(tmp_path / "file", raw), f"asks for {name}")


def test_instances_are_refused(tmp_path, marker, refused, write_program):
    raw = pickle.dumps(Popen(None, ["touch", str(marker)]), 4)
    refused(write_program(tmp_path / "file", raw), r"asks for subprocess\.Popen")


def test_a_function_an_application_registered_by_number_is_refused(
    tmp_path, marker, refused, write_program
):
    copyreg.add_extension("posix", "system", 1)
    try:
        raw = pickle.dumps(Calls(os.system, f"touch {marker}"), 2)
        pickle.loads(
            b"\x80\x02\x82\x01."
        )  # which leaves it in pickle's cache, where nobody asks for its name
        refused(write_program(tmp_path / "file", raw), "uses the opcode EXT1")
    finally:
        copyreg.remove_extension("posix", "system", 1)


@pytest.mark.parametrize(
    "target",
    [
        b"ccollections\nOrderedDict\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"cnumpy\ndtype\n",
    ],
)
@pytest.mark.parametrize(
    "state",
    [
        b"}X\6\0\0\0_buildcos\nsystem\ns",
        b"}X\6\0\0\0_buildNs",
        b"N}X\6\0\0\0_buildNs\x86",
        b"N}X\4\0\0\0nameX\1\0\0\0xs\x86",
    ],
)
def test_no_state_reaches_the_builders(
    made, tmp_path, marker, refused, write_program, target, state
):
    refused(
        write_program(tmp_path / "hostile", b"\x80\x02" + target + state + b"b."),
        r"asks for os\.system|changes what|damaged",
    )
    good = made.program(
        made.mapping({"w": made.tensor(made.storage("FloatStorage", "0", 2), 0, (2,), (1,))})
    )
    path = made.write_zip(tmp_path / "good", good, {"0": np.ones(2, np.float32).tobytes()})
    assert read(path)["w"].tolist() == [1, 1]


def test_the_state_of_an_ordered_dict_is_let_go(made, tmp_path):
    entries = b"ccollections\nOrderedDict\n)R}X\11\0\0\0__class__X\1\0\0\0xsb"
    outer = made.program(made.mapping({"state_dict": entries, "other": made.text("passed over")}))
    assert read(made.write_zip(tmp_path / "file", outer)) == {}


def test_a_tensor_takes_no_state(made, tmp_path, refused):
    body = made.tensor(made.storage("FloatStorage", "0", 2), 0, (2,), (1,)) + b"}b"
    refused(made.write_zip(tmp_path / "file", made.program(body)), "gives a state to a tensor")


FAR = 2**50


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (3, (1,), (1,)),
        (1, (3,), (1,)),
        (FAR, (1,), (1,)),
        (0, (2,), (FAR,)),
        (0, (2, 2), (1, 2)),
        (0, (FAR,), (0,)),
        (-1, (2,), (1,)),
        (2, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2,), (1, 1)),
        (0, (2**70,), (0,)),
    ],
)
def test_no_tensor_reaches_outside_its_storage(made, tmp_path, offset, shape, strides):
    body = made.mapping(
        {"w": made.tensor(made.storage("FloatStorage", "0", 3), offset, shape, strides)}
    )
    numbers = np.arange(3, dtype=np.float32).tobytes()
    for path in (
        made.write_zip(tmp_path / "zip", made.program(body), {"0": numbers}),
        made.write_legacy(tmp_path / "legacy", made.program(body), {"0": (3, numbers)}),
    ):
        with pytest.raises(
            ValueError,
            match=r"reaches outside of its storage of 3 numbers|describes a tensor with offset",
        ):
            read(path)


@pytest.mark.parametrize("count", [2, 4, 2**60])
def test_storages_have_the_size_they_state(made, tmp_path, count):
    body = made.program(
        made.mapping({"w": made.tensor(made.storage("FloatStorage", "0", count), 0, (2,), (1,))})
    )
    numbers = np.ones(3, np.float32).tobytes()
    with pytest.raises(ValueError, match=f"data/0 must have {4 * count} bytes, found 12"):
        read(made.write_zip(tmp_path / "zip", body, {"0": numbers}))
    with pytest.raises(ValueError, match=f"storage 0 must hold {count} numbers of float32"):
        read(made.write_legacy(tmp_path / "legacy", body, {"0": (3, numbers)}))


def array(shape, dtype="f4", order="<", raw=b"C\0"):
    """The opcodes of a numpy array, created empty and given its state; ``raw`` are those of its
    bytes.
    """

    def word(text):
        return b"X" + len(text).to_bytes(4, "little") + text.encode()

    kind = b"cnumpy\ndtype\n(" + word(dtype) + b"K\0K\1tR(K\3" + word(order) + b"NNNK\0K\0K\0tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tC\1btR"
    return empty + b"(K\1" + pickle.dumps(shape, 2)[2:-1] + kind + b"\x89" + raw + b"tb"


def with_length(opcode: bytes) -> bytes:
    return b"\x80\x04" + opcode + (2**40).to_bytes(8, "little") + b"x."


DOUBLED = b"]q\0" + b"".join(
    b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)
)
MEGABYTE = b"B\0\0\x10\0" + bytes(2**20) + b"q\1"
REPEATED = b"".join(
    [b"]("] + [array((2**18,), order=">", raw=raw) for raw in (MEGABYTE, *[b"h\1"] * 90)] + [b"e"]
)
BOMBS = {
    "memo": (b"\x80\x02}r\xff\xff\xff\xff.", "numbers object 4,294,967,295"),
    "bytes": (with_length(b"\x8e"), "truncated or damaged"),
    "text": (with_length(b"\x8d"), "truncated or damaged"),
    "frame": (with_length(b"\x95"), "truncated or damaged"),
    "lists of one list": (DOUBLED + b"}X\1\0\0\0wh<s.", "holds the same list twice"),
    "lists as a dtype": (
        DOUBLED + b"}X\1\0\0\0w" + array((1,)).replace(b"X\2\0\0\0f4", b"h<") + b"s.",
        "array of dtype",
    ),
    "array": (b"}X\1\0\0\0w" + array((2**40,)) + b"s.", "needs 4398046511104 bytes, found 0"),
    "array of a size past all": (b"}X\1\0\0\0w" + array((2**62, 2**62)) + b"s.", "bytes, found 0"),
    "arrays of the same bytes": (b"\x80\x02}X\1\0\0\0w" + REPEATED + b"s.", "over and over"),
    "objects": (b"}X\1\0\0\0w" + array((1,), "O8") + b"s.", "of dtype 'O8'"),
    "byte order": (b"}X\1\0\0\0w" + array((1,), order="x") + b"s.", "byte order 'x'"),
    "tuples of one tuple as a key": (
        b"\x80\x02})" + b"\x32\x86" * 60 + b"Ns.",
        "objects on one tuple",
    ),
    "tuples of one tuple by number": (
        b"\x80\x02})q\0" + b"h\0\x86q\0h\0" * 60 + b"Ns.",
        "objects on one tuple",
    ),
    "tuples of one tuple, memoized": (
        b"\x80\x04})\x94" + b"".join(b"h" + bytes([i]) + b"\x86\x94" for i in range(60)) + b"Ns.",
        "objects on one tuple",
    ),
    "tuple in tuple": (b"\x80\x02})" + b"\x85" * 400_000 + b"Ns.", "objects on one tuple"),
    "a tuple as a parameter": (
        b"\x80\x02}ctorch._utils\n_rebuild_parameter\n)" + b"\x85" * 500 + b"\x85RNs.",
        "makes a parameter of a tuple",
    ),
    "depth": (b"}X\1\0\0\0w" + b"]" * 10_000 + b"a" * 9_999 + b"s.", "recursion"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_small_file_fills_the_memory(tmp_path, refused, write_program, name):
    raw, message = BOMBS[name]
    path = write_program(tmp_path / "file", raw)
    tracemalloc.start()
    try:
        refused(path, message)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_compressed_entries_are_refused(made, tmp_path, refused):
    body = made.program(
        made.mapping({"w": made.tensor(made.storage("FloatStorage", "0", 2**20), 0, (2,), (1,))})
    )
    path = made.write_zip(
        tmp_path / "file", body, {"0": bytes(2**22)}, compression=zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 1e5
    refused(path, "entries are compressed")


@pytest.mark.parametrize("fields", [(20,), (20, 24)], ids=["packed", "packed and whole"])
def test_entries_larger_than_the_file_reserve_no_memory(made, tmp_path, refused, fields):
    path = made.write_zip(tmp_path / "file", made.program(b"}"))
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\1\2")  # the first one's in the directory, its sizes after 20 bytes
    for field in fields:
        raw[entry + field : entry + field + 4] = (2**30).to_bytes(4, "little")
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        refused(path, "overlap or are larger than the file")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_directory_that_points_before_the_file_is_damage(made, tmp_path, refused):
    path = made.write_zip(tmp_path / "file", made.program(b"}"))
    raw = bytearray(path.read_bytes())
    end = raw.rindex(b"PK\5\6")
    raw[end + 12 : end + 16] = (2**20).to_bytes(4, "little")  # bytes of the directory
    path.write_bytes(raw)
    refused(path, "file cannot be read: ")


@pytest.mark.parametrize(
    "shape", ["(1099511627776,)", "(4611686018427387904, 4611686018427387904)", "(-4,)"]
)
def test_npz_headers_are_checked_before_numpy_reserves_memory(tmp_path, refused, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr(
            "w.npy",
            b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(16),
        )
    refused(tmp_path / "file", r"needs -?\d+ bytes, found 16")


def test_no_small_npz_fills_the_memory(tmp_path, refused):
    np.savez_compressed(tmp_path / "file.npz", w=np.zeros(9))
    raw = bytearray((tmp_path / "file.npz").read_bytes())
    entry = raw.index(b"PK\1\2")  # in the directory; its size follows after 24 bytes
    raw[entry + 24 : entry + 28] = (2**30).to_bytes(4, "little")
    (tmp_path / "file.npz").write_bytes(raw)
    refused(tmp_path / "file.npz", r"its \d+ bytes expand to 1,073,741,824; if they should")


def test_objects_in_an_npz_are_not_unpickled(tmp_path, marker, refused):
    np.savez(tmp_path / "file.npz", w=np.array([Calls(os.system, f"touch {marker}")], object))
    refused(tmp_path / "file.npz", "w.npy is of dtype object, .* could run anything")


def test_a_legacy_list_of_storages_is_never_printed(made, tmp_path, refused):
    """Its text would be 2⁶⁰ brackets long."""
    raw = made.legacy(made.program(b"}"))
    (tmp_path / "file").write_bytes(raw[: raw.rindex(b"\x80\x02]")] + b"\x80\x02" + DOUBLED + b".")
    refused(tmp_path / "file", "list of storages is not that of its tensors")
