"""numpy's .npz files, zip files of arrays; only arrays of numbers are read."""

import math
import zipfile

import numpy as np

from jaxalign.models.weights._stored import Refused, native

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def npz(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Raises:
      ValueError: arrays of objects, text or complex numbers; a header with a wrong size.
    """
    return {
        entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()
    }


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"its array {entry.filename} has the unknown format version {version}")
        shape, fortran, dtype = _HEADERS[version](file)
        if dtype.kind not in "biuf":
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
