"""numpy's .npz files, zip files of arrays; only arrays of numbers are read."""

import math
import zipfile

import numpy as np

from jaxalign.models.weights._stored import BFLOAT16, Refused, native

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


# numpy writes bfloat16 as two bytes without a meaning; jax.numpy.load reads them so, too.
_BFLOAT16_WRITTEN = np.dtype("V2")
# A file may expand to so many times its size, or to so many bytes.
_LARGEST_RATIO = 100
_SMALL = 2**28


def npz(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Raises:
      ValueError: arrays of objects, text or complex numbers; a header with a wrong size; a file
        that expands to more than a hundred times its size.
    """
    entries = archive.infolist()
    packed = sum(entry.compress_size for entry in entries)
    needed = sum(entry.file_size for entry in entries)
    if needed > max(_SMALL, _LARGEST_RATIO * packed):
        raise Refused(
            f"its {packed:,} bytes expand to {needed:,}; if they should, save it by np.savez, "
            "which does not compress"
        )
    return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"its array {entry.filename} has the unknown format version {version}")
        shape, fortran, dtype = _HEADERS[version](file)
        if dtype == _BFLOAT16_WRITTEN:
            dtype = BFLOAT16
        elif dtype.kind not in "biuf":
            pickled = "; objects are pickled and could run anything" if dtype.hasobject else ""
            raise Refused(
                f"its array {entry.filename} is of dtype {dtype}, "
                f"weights are booleans, integers or floats{pickled}"
            )
        # Checked before numpy allocates what the header asks for, which may be any size.
        needed = math.prod(shape) * dtype.itemsize
        there = entry.file_size - file.tell()
        if needed != there:
            raise ValueError(
                f"its array {entry.filename} of shape {shape} and dtype {dtype} "
                f"needs {needed} bytes, found {there}"
            )
        flat = native(np.frombuffer(file.read(), dtype))
        return flat.reshape(shape, order="F" if fortran else "C")
