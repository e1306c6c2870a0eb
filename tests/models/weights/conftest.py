"""torch's formats written opcode by opcode, so that the reader is tested without torch, and on what
torch never writes.
"""

import pickle
import signal
import zipfile
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

MAGIC = 0x1950A86A20F9469CFC6C


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def pack(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def mapping(entries: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in entries.items()) + b"u"


def storage(kind: str, key: str, count: int) -> bytes:
    return (
        pack(text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text("cpu"), number(count))
        + b"Q"
    )


def tensor(of: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    sizes = [pack(*map(number, shape)), pack(*map(number, strides))]
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n"
        + pack(of, number(offset), *sizes, b"\x89", b"}")
        + b"R"
    )


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def write_zip(
    path,
    raw: bytes,
    storages: dict[str, bytes] | None = None,
    order: bytes | None = b"little",
    **options,
):
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("net/data.pkl", raw)
        if order is not None:
            archive.writestr("net/byteorder", order)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"net/data/{key}", numbers)
    return path


def legacy(raw: bytes, storages: dict[str, tuple[int, bytes]] | None = None) -> bytes:
    storages = storages or {}
    head = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True})]
    tail = [count.to_bytes(8, "little") + numbers for count, numbers in storages.values()]
    return b"".join([*head, raw, pickle.dumps(list(storages), 2), *tail])


def write_legacy(path, raw: bytes, storages: dict[str, tuple[int, bytes]] | None = None):
    path.write_bytes(legacy(raw, storages))
    return path


@pytest.fixture(scope="session")
def made():
    """The writers above, by name."""
    return SimpleNamespace(**{name: value for name, value in globals().items() if callable(value)})


def wrapped_plain(path, raw):
    path.write_bytes(raw)
    return path


@pytest.fixture(params=[wrapped_plain, write_zip, write_legacy], ids=["pickle", "zip", "legacy"])
def write_program(request):
    """``write_program(path, pickle)``: a file of each of the three formats that hold a pickle."""
    return request.param


@contextmanager
def _within(seconds):
    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def within():
    """A context of so many seconds, after which what hangs raises TimeoutError."""
    return _within
