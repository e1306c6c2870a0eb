"""Archives of images with labels beside them, whole and hostile."""

import contextlib
import gzip
import io
import tarfile

import pytest
from PIL import Image

from jaxalign.data import read_image_tar


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def archive(tmp_path):
    """``archive(members)``: a .tar of (name, content) pairs, or of TarInfo."""

    def write(members, name="data.tar"):
        path = tmp_path / name
        with tarfile.open(path, "w") as file:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    file.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
        return path

    return write


PAIR = [("a/0.png", png(1)), ("a/0.cls", b"3"), ("a/1.PNG", png(2)), ("a/1.cls", b"12\n")]


def test_images_come_in_the_order_of_the_archive_with_their_labels(archive):
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    others = [("a/._0.png", b""), ("a/0.seg.png", png(9)), ("a/0.__key__", b""), ("README", b"")]
    path = archive([folder, *others, *PAIR[2:], *PAIR[:2]])
    images, labels, source = read_image_tar(path)
    assert source == "data.tar"
    assert images.has_classes
    assert labels.tolist() == [3, 12] or labels.tolist() == [12, 3]
    for image, label in zip(images, labels.tolist(), strict=False):
        assert image.shape == (4, 5, 3)
        assert image[0, 0].tolist() == [{3: 1, 12: 2}[label], 0, 0]


@pytest.mark.parametrize(
    ("contents", "label", "expected"),
    [
        ({"txt": [b"cat", b" dog\n"]}, None, ["cat", "dog"]),
        ({"txt": [b"0.5", b"2"]}, None, [0.5, 2.0]),
        ({"txt": [b"a", b"b"], "cls": [b"0", b"1"]}, None, [0, 1]),
        ({"txt": [b"a", b"b"], "cls": [b"0", b"1"]}, "txt", ["a", "b"]),
        ({"json": [b"1", b"2"]}, None, [1, 2]),
        ({"json": [b'{"label": "x", "id": 7}', b'{"label": "y"}']}, None, ["x", "y"]),
        ({"json": [b'{"only": true}', b'{"only": false}']}, None, [True, False]),
        ({"json": [b'{"a": 1, "b.c": 2}', b'{"a": 3, "b.c": 4.5}']}, "json.b.c", [2, 4.5]),
        ({"json": [b'{"a": 1}', b'{"a": 2}'], "txt": [b"u", b"v"]}, "json.a", [1, 2]),
    ],
)
def test_labels_are_numbers_or_names(archive, contents, label, expected):
    members = [(f"{i}.png", png(i)) for i in range(2)]
    for ending, files in contents.items():
        members += [(f"{i}.{ending}", content) for i, content in enumerate(files)]
    assert read_image_tar(archive(members), label=label).labels.tolist() == expected


def test_a_folder_of_archives_is_read_in_their_order(archive):
    second = archive([("0.png", png(2)), ("0.txt", b"b")], "shard-1.tar")
    archive([("0.png", png(1)), ("0.txt", b"a")], "shard-0.tar")
    images, labels, _ = read_image_tar(second.parent)
    assert labels.tolist() == ["a", "b"]
    assert [image[0, 0, 0] for image in images] == [1, 2]


def link(kind, name="2.png"):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "holds no image"),
        ([("README", b"text")], "holds no image|must hold a label"),
        ([("0.cls", b"1")], r"the label .*0\.cls has no image"),
        (PAIR[:3], r"the image .*a/1\.PNG has no label \.cls"),
        ([*PAIR, ("a/2.cls", b"1")], r"the label .*a/2\.cls has no image"),
        ([*PAIR, ("a/0.cls", b"4")], r"a/0\.cls is there twice"),
        ([*PAIR, ("a/0.CLS", b"4")], r"a/0\.CLS is there twice, as a/0\.cls"),
        ([*PAIR, ("a/0.jpg", png(1))], r"a/0\.png and a/0\.jpg are two images"),
        ([*PAIR, ("../2.png", png(1))], r"\.\./2\.png has a name that leads out"),
        ([*PAIR, ("a/../../2.png", png(1))], "has a name that leads out"),
        ([*PAIR, ("/etc/2.png", png(1))], "/etc/2.png has a name that leads out"),
        ([*PAIR, ("a\\..\\2.png", png(1))], "has a name that leads out"),
        ([*PAIR, link(tarfile.SYMTYPE)], r"2\.png is a link"),
        ([*PAIR, link(tarfile.LNKTYPE)], r"2\.png is a link"),
        ([*PAIR, link(tarfile.FIFOTYPE)], r"2\.png is a link, a device"),
        ([("0.png", png(1)), ("0.cls", b"")], r"0\.cls is empty"),
        ([("0.png", png(1)), ("0.cls", b"\xff\xfe")], r"0\.cls is not text in UTF-8"),
        ([("0.png", png(1)), ("0.cls", b"nan")], "finite|known"),
        ([("0.png", png(1)), ("0.json", b"{")], r"0\.json is not JSON"),
        ([("0.png", png(1)), ("0.json", b"[" * 10**5)], r"0\.json is not JSON"),
        ([("0.png", png(1)), ("0.json", b"null")], r"0\.json must hold a number or text"),
        ([("0.png", png(1)), ("0.json", b'{"a": 1, "b": 2}')], r"found 'a', 'b'; name it"),
        (
            [("0.png", png(1)), ("0.json", b"1"), ("1.png", png(1)), ("1.json", b'"x"')],
            r"labels must be of one kind, found 1 in 0\.json and 'x' in .*1\.json",
        ),
        ([("0.png", png(1)), ("0.json", b"1"), ("0.txt", b"1")], "found txt and json; name one"),
        ([("0.png", png(1)), ("0.txt", b"x" * 2**21)], r"0\.txt unpacks to"),
        ([("0.png", png(1)), ("0.json", b"9" * 30)], "must fit in 64 bits"),
    ],
)
def test_what_is_no_sample_is_named(archive, members, message):
    with pytest.raises(ValueError, match=message):
        read_image_tar(archive(members)).classes()


def test_options_that_fit_no_file(archive, tmp_path):
    path = archive(PAIR)
    with pytest.raises(ValueError, match=r"label must be cls, txt, json or json\.FIELD, found 'y'"):
        read_image_tar(path, label="y")
    with pytest.raises(ValueError, match=r"a/0\.png has no label \.txt"):
        read_image_tar(path, label="txt")
    with pytest.raises(FileNotFoundError, match="no tar archive"):
        read_image_tar(tmp_path / "missing.tar")


def test_a_damaged_image_is_named_when_it_is_read(archive):
    images = read_image_tar(archive([("0.png", png(1)[:40]), ("0.cls", b"1"), *PAIR])).inputs
    assert [images.is_readable(row) for row in range(3)] == [False, True, True]
    with pytest.raises(ValueError, match=r"data\.tar: 0\.png"):
        images[0]


def test_damage_anywhere_is_found_or_leaves_all_members(archive, rng):
    """No member is lost in silence, whatever bytes are changed, and wherever the file is cut."""
    path = archive(PAIR)
    raw = path.read_bytes()
    used = len(raw.rstrip(b"\0"))
    changes = [raw[:cut] for cut in (*rng.integers(0, used, 40), *range(0, used, 512))]
    for position in rng.integers(0, used + 600, 80):
        changed = bytearray(raw)
        changed[position] ^= 0x55
        changes.append(bytes(changed))
    for changed in changes:
        path.write_bytes(changed)
        with contextlib.suppress(ValueError):
            assert len(read_image_tar(path).inputs) == 2


@pytest.mark.parametrize(
    "raw",
    [b"", b"no archive" * 100, gzip.compress(b"\0" * 1024), b"\0" * 512 + b"x"],
    ids=["empty", "text", "compressed", "half an end"],
)
def test_what_is_no_archive_is_refused(tmp_path, raw):
    (tmp_path / "data.tar").write_bytes(raw)
    with pytest.raises(ValueError, match=r"data\.tar (cannot be read|is damaged|is cut off)"):
        read_image_tar(tmp_path / "data.tar")


def test_a_negative_size_does_not_read_for_ever(archive):
    path = archive(PAIR)
    raw = bytearray(path.read_bytes())
    with tarfile.open(path) as file:
        offset = file.getmembers()[2].offset
    raw[offset + 124 : offset + 136] = b"\xff" * 11 + b"\x00"  # base 256, below 0
    raw[offset + 148 : offset + 156] = b" " * 8
    raw[offset + 148 : offset + 155] = b"%06o\0" % sum(raw[offset : offset + 512])
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"a/1\.PNG is damaged"):
        read_image_tar(path)
