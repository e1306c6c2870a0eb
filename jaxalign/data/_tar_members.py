"""The members of a tar archive: where each lies in the file, so that any can be read by itself."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple


class TarMember(NamedTuple):
    """A file in an archive.

    Attributes:
      archive: the path of the archive.
      name: in the archive.
      offset: of its first byte.
      size: in bytes.
    """

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    def read(self) -> bytes:
        """Its content."""
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def tar_members(path: Path) -> list[TarMember]:
    """The files in an archive, in its order, without hidden ones.

    Raises:
      ValueError: no tar, or a compressed one; a member that is damaged, is not a file, or has a
        name that leads out of the archive; the message names it.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            members = list(_checked(path, archive))
            _require_end(path, file, archive.offset, members)
            return members
    except _Refused as error:
        raise ValueError(str(error)) from None
    except FileNotFoundError:
        raise
    # Anything: a damaged archive can fail in any way.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a tar archive: {str(error) or type(error).__name__}; unpack "
            "a compressed one first, as by gunzip"
        ) from error


class _Refused(ValueError):
    """A member that is not taken."""


def _checked(path: Path, archive: tarfile.TarFile) -> Iterator[TarMember]:
    size = path.stat().st_size
    for info in archive:
        member = TarMember(path, info.name, info.offset_data, info.size)
        parts = PurePosixPath(info.name.replace("\\", "/")).parts
        if ".." in parts or "/" in parts[:1]:
            raise _Refused(f"{member} has a name that leads out of the archive; rename it")
        # A negative size would lead tarfile back to the members before.
        if info.size < 0 or info.offset_data + info.size > size:
            raise _Refused(f"{member} is damaged: it has {info.size:,} bytes, of {size:,} in all")
        if info.isdir():
            continue
        if not info.isreg() or info.issparse():
            raise _Refused(
                f"{member} is a link, a device or sparse, not a plain file; pack the files "
                "themselves, as by tar --dereference --hard-dereference"
            )
        if not parts[-1].startswith("."):
            yield member


def _require_end(path: Path, file: BinaryIO, offset: int, members: list[TarMember]) -> None:
    """Raise unless zeros, and nothing else, follow the last member: tarfile takes a damaged header
    for the end, and a missing one too.
    """
    after = f"after {members[-1].name}" if members else "at its beginning"
    file.seek(offset)
    zeros = 0
    while block := file.read(2**20):
        if any(block):
            raise _Refused(f"{path} is damaged {after}: what follows is not a member")
        zeros += len(block)
    if zeros < tarfile.BLOCKSIZE:
        raise _Refused(f"{path} is cut off {after}: the zeros at the end of an archive are missing")
