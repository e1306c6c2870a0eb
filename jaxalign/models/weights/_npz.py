"""numpy's .npz: a zip of arrays, of which only numbers are read."""

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
      ValueError: arrays of objects, text or complex numbers; a header that states another size than
        there is.
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
                f"its array {entry.filename} is of dtype {dtype}, weights are booleans, integers or floats{pickled}"
            )
        # Before numpy reserves what the header asks for.
        wanted, found = math.prod(shape) * dtype.itemsize, entry.file_size - file.tell()
        if wanted != found:
            raise ValueError(
                f"its array {entry.filename} of shape {shape} and dtype {dtype} needs {wanted} bytes, found {found}"
            )
        return native(np.frombuffer(file.read(), dtype)).reshape(
            shape, order="F" if fortran else "C"
        )
