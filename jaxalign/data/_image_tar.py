"""Tar archives of images with labels beside them, as webdataset reads them."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._image_files import image_endings, pixels_of
from jaxalign.data._labelled import Labelled, require_known_texts
from jaxalign.data._limit import MAX_IMAGE_BYTES, require_within
from jaxalign.data._stored_images import StoredImages
from jaxalign.data._tar_labels import ending_of, labels_of
from jaxalign.data._tar_members import TarMember, tar_members

ENDING = ".tar"
Sample = dict[str, TarMember]


@dataclass(frozen=True)
class TarImages(StoredImages):
    """Images in tar archives; an image is read when it is indexed.

    Attributes:
      members: the n files, in the order of the archives.
      has_classes: whether labels are classes, as those of .cls files are.
      max_bytes: the most that the pixels of one may take.
    """

    members: tuple[TarMember, ...]
    has_classes: bool
    max_bytes: int = MAX_IMAGE_BYTES

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "h w 3"]:
        member = self.members[row]
        require_within(member.size, self.max_bytes, str(member))
        return pixels_of(BytesIO(member.read()), str(member), self.max_bytes)


def read_image_tar(
    path: str | Path, *, label: str | None = None, max_bytes: int = MAX_IMAGE_BYTES
) -> Labelled:
    """Images and labels in a tar archive, or in a folder of archives; no image is read yet.

    Files of one sample differ in what follows the first dot of their name: 0001.jpg is an image,
    and 0001.cls, 0001.txt or 0001.json its label. Other files are not read, nor is anything
    unpacked to disk.

    Args:
      path: an uncompressed .tar, or a folder of them, which are read in the order of their names.
      label: "cls": a class by number or name, the default where there are such; "txt": text or a
        number; "json": a value by itself, or the entry "label" of an object; "json.FIELD": another
        entry.
      max_bytes: the most that the pixels of an image may take.

    Returns:
      Labelled, whose inputs are a sequence of images (h, w, 3) uint8.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: no archive; a damaged one; an image without a label or a label without an image;
        two files of one name, two images of one sample; names that lead out of the archive; links;
        labels of several kinds. The message names the member.

    Example:
      >>> import io, tarfile, tempfile
      >>> from PIL import Image
      >>> from jaxalign.data import read_image_tar
      >>> def add(archive, name, content):
      ...     info = tarfile.TarInfo(name)
      ...     info.size = len(content)
      ...     archive.addfile(info, io.BytesIO(content))
      >>> image = io.BytesIO()
      >>> Image.new("RGB", (8, 6)).save(image, "PNG")
      >>> with tempfile.NamedTemporaryFile(suffix=".tar") as file:
      ...     with tarfile.open(file.name, "w") as archive:
      ...         for name, animal in (("0", b"cat"), ("1", b"dog")):
      ...             add(archive, f"{name}.png", image.getvalue())
      ...             add(archive, f"{name}.cls", animal)
      ...     images, labels, _ = read_image_tar(file.name)
      ...     images[1].shape, labels.tolist()
      ((6, 8, 3), ['cat', 'dog'])

    Source: the layout of webdataset.
    """
    path = Path(path)
    source = path.resolve().name
    samples = [sample for archive in archives(path) for sample in _samples(archive)]
    if not samples:
        raise ValueError(f"{path} holds no image; an archive holds NNN.jpg and NNN.cls, say")
    ending = ending_of(samples, label, source)
    images = []
    texts = []
    for sample in samples:
        image = _image(sample)
        if image is None and ending in sample:
            raise ValueError(f"the label {sample[ending]} has no image beside it")
        if image is None:
            continue
        if ending not in sample:
            raise ValueError(f"the image {image} has no label .{ending} beside it")
        images.append(image)
        texts.append(sample[ending])
    if not images:
        raise ValueError(f"{path} holds no image; an archive holds NNN.jpg and NNN.cls, say")
    labels = labels_of(texts, label)
    if labels.dtype.kind == "U":
        require_known_texts(labels, source)
    return Labelled(TarImages(tuple(images), ending == "cls", max_bytes), labels, source)


def archives(path: Path) -> list[Path]:
    """The archive itself, or those in a folder."""
    if not path.exists():
        raise FileNotFoundError(f"there is no tar archive at {path}")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == ENDING)
    if not files:
        raise ValueError(f"{path} is a folder without {ENDING} files")
    return files


def _samples(archive: Path) -> list[Sample]:
    """The files of each sample by their endings, in lower case."""
    samples: dict[str, Sample] = {}
    for member in tar_members(archive):
        name = PurePosixPath(member.name)
        key, _, ending = name.name.partition(".")
        sample = samples.setdefault(str(name.parent / key), {})
        if ending.lower() in sample:
            raise ValueError(f"{member} is there twice, as {sample[ending.lower()].name} too")
        sample[ending.lower()] = member
    return list(samples.values())


def _image(sample: Sample) -> TarMember | None:
    images = [member for ending, member in sample.items() if f".{ending}" in image_endings()]
    if len(images) > 1:
        raise ValueError(f"{images[0]} and {images[1].name} are two images of one sample")
    return images[0] if images else None
