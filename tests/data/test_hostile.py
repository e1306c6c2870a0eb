"""Files that are damaged or made to harm: the values that were saved, or an error of the package.

A byte of a packed file or of a checked one cannot change unnoticed. Of others (a plain IDX file, a
table) it can: there, arrays of as many rows as labels have to come back, or an error.
"""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxalign.data import image_folder, read_csv, read_idx, read_image, read_npz
from jaxalign.data._idx_folder import read_idx_folder

REFUSED = (ValueError, TypeError, FileNotFoundError)
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
PIXELS = RNG.integers(0, 256, (16, 12, 3), dtype=np.uint8)
TABLE = "a,b;c,kind\n1.5,2,x\n-3e2,4.25,y\n0.1,7,x\n"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]


def idx_file() -> bytes:
    return bytes([0, 0, 8, 3]) + struct.pack(">3I", *BYTES.shape) + BYTES.tobytes()


def npz_file(save=np.savez_compressed) -> bytes:
    stream = io.BytesIO()
    save(stream, x=BYTES, y=np.arange(6) % 2)
    return stream.getvalue()


def image_file(kind: str) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 1
    if kind != "TIFF":
        exif[0x8769] = {0x9003: "2020:01:01"}
    Image.fromarray(PIXELS).save(stream, kind, exif=exif)
    return stream.getvalue()


def damaged(whole: bytes, seed: int) -> bytes:
    """A file of which bytes are changed, cut off, left out, doubled, or followed by others."""
    rng = np.random.default_rng(seed)
    place = int(rng.integers(len(whole)))
    several = rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8).tobytes()
    return [
        whole[:place],
        whole[:place] + several + whole[place + len(several) :],
        whole[:place] + whole[place + len(several) :],
        whole[:place] + several + whole[place:],
        whole[:place] + bytes([whole[place] ^ (1 << seed % 8)]) + whole[place + 1 :],
        whole + several,
    ][seed % 6]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays(tmp_path, seed, save):
    (tmp_path / "some.npz").write_bytes(damaged(npz_file(save), seed))
    try:
        found = read_npz(tmp_path / "some.npz")
    except REFUSED:
        return
    np.testing.assert_array_equal(found.inputs, BYTES)
    np.testing.assert_array_equal(found.labels, np.arange(6) % 2)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files(tmp_path, seed, pack):
    (tmp_path / "file").write_bytes(damaged(pack(idx_file()), seed))
    try:
        found = read_idx(tmp_path / "file")
    except REFUSED:
        return
    if pack is gzip.compress:
        np.testing.assert_array_equal(found, BYTES)
    assert found.size == BYTES.size


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_images(tmp_path, seed, kind):
    whole = image_file(kind)
    (tmp_path / "image").write_bytes(damaged(whole, seed))
    try:
        found = read_image(tmp_path / "image")
    except REFUSED:
        return
    assert (found.ndim, found.shape[2], found.dtype) == (3, 3, np.uint8)
    if kind == "PNG":
        # Its chunks are checked, so a picture that comes back is the one that was saved.
        np.testing.assert_array_equal(np.sort(found, axis=None), np.sort(PIXELS, axis=None))


@pytest.mark.parametrize("seed", range(120))
@pytest.mark.parametrize(
    "options", [{}, {"missing": "drop", "categories": "one-hot"}, {"header": True}]
)
def test_tables(tmp_path, seed, options):
    (tmp_path / "some.csv").write_bytes(damaged(TABLE.encode(), seed))
    try:
        found = read_csv(tmp_path / "some.csv", **options)
    except REFUSED:
        return
    assert len(found.inputs) == len(found.labels) > 0
    assert np.isfinite(found.inputs).all()


def bombs() -> dict[str, bytes]:
    """Files that ask for more than they hold, or hold what no reader of them knows."""
    zeros = zlib.compress(bytes(2**22), 9)
    locked = bytearray(npz_file(np.savez))
    locked[6] |= 1
    locked[locked.index(b"PK\1\2") + 8] |= 1
    unknown = bytearray(npz_file(np.savez))
    unknown[8] = 99
    unknown[unknown.index(b"PK\1\2") + 10] = 99
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 9999) + b"(" * 9999)
        archive.writestr("y.npy", npz_file())
    return {
        "locked.npz": bytes(locked),
        "unknown.npz": bytes(unknown),
        "nested.npz": nested.getvalue(),
        "empty.npz": b"",
        "zip.npz": b"PK\5\6" + bytes(18),
        "idx.gz": gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 9) + bytes(2**22)),
        "dimensions": bytes([0, 0, 8, 200]) + struct.pack(">200I", *[1] * 200) + b"x",
        "zeros": bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 0, 2**31),
        "zeros.gz": b"\x1f\x8b" + zeros,
        "wide.csv": b"," * 2**18,
        "deep.csv": b'"' * (2**18 + 1),
        "field.csv": b"a,b\n" + b"1" * 2**18 + b",2\n",
        "digits.csv": b"a,b\n" + b"9" * 5000 + b",2\n1,3\n",
        "labels.csv": b"a,b\n1," + b"9" * 5000 + b"\n1,3\n",
        "exponent.csv": b"a,b\n1e99999999,2\n1,3\n",
    }


BOMBS = bombs()


@pytest.mark.parametrize(("name", "raw"), BOMBS.items(), ids=list(BOMBS))
def test_bombs(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    for read in (read_npz, read_idx, read_csv, read_image):
        try:
            found = read(tmp_path / name)
        except REFUSED:
            continue
        assert name == "zeros"
        assert found.size == 0


@pytest.mark.parametrize("read", [read_npz, read_idx, read_csv, read_image, image_folder])
def test_what_is_no_file(tmp_path, read):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    for name in ("loop", "none", "folder"):
        with pytest.raises(REFUSED):
            read(tmp_path / name)
    with pytest.raises(REFUSED):
        read_idx_folder(tmp_path / "none", "train")
