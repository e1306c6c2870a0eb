"""BLAS and LAPACK routines of scipy by their addresses, as jaxlib finds its own: outside Python's
lock, and in place.
"""

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.linalg import cython_blas, cython_lapack

_name = ctypes.pythonapi.PyCapsule_GetName
_name.restype, _name.argtypes = ctypes.c_char_p, [ctypes.py_object]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

_BLOCK = (
    64  # columns that LAPACK turns at once, the most that any of its builds asks work space for
)


def add_products(rows: np.ndarray, total: np.ndarray) -> None:
    """Total += rowsᵀ rows of (n, w) rows: half of a product, for it goes to the upper triangle
    alone.
    """
    n, w = rows.shape
    _call("dsyrk", b"L", b"N", w, n, 1.0, rows, _stride(rows), 1.0, total, _stride(total))


def eigen(gram: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(λ, Vᵀ vectors), λ ascending, of the symmetric V diag(λ) Vᵀ (d, d) with that upper triangle,
    and (d, k) vectors.

    The rotations to tridiagonal form, where every eigensolver begins, turn the k vectors; to turn
    all d eigenvectors back by them would be a third of the work. λ is NaN where LAPACK gives up.
    """
    d, k = vectors.shape
    reduced, turned = np.array(gram, order="C"), np.array(vectors, order="F")
    values, beside, tau = np.empty((3, d))
    work, places, status = (
        np.empty(1 + 4 * d + d * d + _BLOCK * max(d, k)),
        np.empty(3 + 5 * d, np.int32),
        _Status(),
    )
    _call("dsytrd", b"L", d, reduced, d, values, beside, tau, work, work.size, status)
    _call("dormtr", b"L", b"L", b"T", d, k, reduced, d, tau, turned, d, work, work.size, status)
    own = np.empty((d, d), order="F")
    _call("dstevd", b"V", d, values, beside, own, d, work, work.size, places, places.size, status)
    return (values if status.value == 0 else values + np.nan), own.T @ turned


def singular(matrix: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(σ, Uᵀ vectors), σ descending, of U diag(σ) Vᵀ = matrix (d, d) and (d, k) vectors; like
    ``eigen``.
    """
    d, k = vectors.shape
    reduced, turned = np.array(matrix, order="F"), np.array(vectors, order="F")
    values, beside, left, right = np.empty((4, d))
    work, status = np.empty(4 * d + _BLOCK * max(2 * d, k)), _Status()
    _call("dgebrd", d, d, reduced, d, values, beside, left, right, work, work.size, status)
    _call("dormbr", b"Q", b"L", b"T", d, k, d, reduced, d, left, turned, d, work, work.size, status)
    _call(
        "dbdsqr", b"U", d, 0, 0, k, values, beside, reduced, 1, reduced, 1, turned, d, work, status
    )
    return (values if status.value == 0 else values + np.nan), turned


_Status = ctypes.c_int


def _stride(rows: np.ndarray) -> int:
    return rows.strides[0] // rows.itemsize


def _call(name: str, *arguments: bytes | int | float | np.ndarray | ctypes.c_int) -> None:
    """Call a routine as Fortran is called: every letter, number and array by its address."""
    held = [
        argument
        if isinstance(argument, np.ndarray | ctypes.c_int)
        else _C[type(argument)](argument)
        for argument in arguments
    ]
    _routine(name)(
        *(x.ctypes.data if isinstance(x, np.ndarray) else ctypes.addressof(x) for x in held)
    )


_C: dict[type, Callable] = {bytes: ctypes.c_char, int: ctypes.c_int, float: ctypes.c_double}


@cache
def _routine(name: str) -> Callable[..., None]:
    capsule = (cython_blas.__pyx_capi__ | cython_lapack.__pyx_capi__)[name]
    signature = _name(capsule)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (signature.count(b",") + 1))(
        _pointer(capsule, signature)
    )
