"""BLAS and LAPACK routines of scipy, called by their addresses as jaxlib calls them: outside
Python's lock, and in place.
"""

import ctypes
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
from jaxtyping import Float
from scipy.linalg import cython_blas, cython_lapack

_name = ctypes.pythonapi.PyCapsule_GetName
_name.restype = ctypes.c_char_p
_name.argtypes = [ctypes.py_object]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

# Columns that LAPACK transforms at once, the most that any of its builds needs work space for.
_BLOCK = 64

# What Python's scalars are to Fortran.
_C: dict[type, Callable] = {bytes: ctypes.c_char, int: ctypes.c_int, float: ctypes.c_double}
_Status = ctypes.c_int


def add_products(rows: Float[np.ndarray, "n w"], total: Float[np.ndarray, "w w"]) -> None:
    """Total += rowsᵀ rows, in the upper triangle alone: half the work of a product."""
    n, w = rows.shape
    # To Fortran, which stores by columns, these arrays are rowsᵀ (w, n) and totalᵀ: "L", its lower
    # triangle, is the upper one here, and "N" makes it rowsᵀ rows.
    _call("dsyrk", b"L", b"N", w, n, 1.0, rows, _stride(rows), 1.0, total, _stride(total))


def eigen(
    gram: Float[np.ndarray, "d d"], vectors: Float[np.ndarray, "d k"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d k"]]:
    """(λ, Vᵀ vectors), λ ascending, of the symmetric V diag(λ) Vᵀ of which ``gram`` holds the upper
    triangle. λ is NaN where LAPACK does not converge.

    Every eigensolver starts by G = Q T Qᵀ with a tridiagonal T = W diag(λ) Wᵀ, so V = Q W. Forming
    V would be a third of the work; instead Qᵀ is applied to the k vectors.
    """
    d, k = vectors.shape
    # In C's order the upper triangle is the lower one of Fortran: "L" below.
    reduced = np.array(gram, order="C")
    rotated = np.array(vectors, order="F")
    values, off_diagonal, tau = np.empty((3, d))
    work = np.empty(1 + 4 * d + d * d + _BLOCK * max(d, k))
    integers = np.empty(3 + 5 * d, np.int32)
    status = _Status()
    # T = QᵀGQ: its diagonal and off-diagonal, and Q as reflections in `reduced` and `tau`.
    _call("dsytrd", b"L", d, reduced, d, values, off_diagonal, tau, work, work.size, status)
    # rotated ← Qᵀ vectors.
    _call("dormtr", b"L", b"L", b"T", d, k, reduced, d, tau, rotated, d, work, work.size, status)
    # T = W diag(λ) Wᵀ by divide and conquer, λ in place of the diagonal.
    own = np.empty((d, d), order="F")
    spaces = (work, work.size, integers, integers.size)
    _call("dstevd", b"V", d, values, off_diagonal, own, d, *spaces, status)
    if status.value != 0:
        values = values + np.nan
    return values, own.T @ rotated  # Vᵀ = WᵀQᵀ


def singular(
    matrix: Float[np.ndarray, "d d"], vectors: Float[np.ndarray, "d k"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d k"]]:
    """(σ, Uᵀ vectors), σ descending, of matrix = U diag(σ) Vᵀ. σ is NaN where LAPACK does not
    converge.

    As in ``eigen`` no singular vector is formed: matrix = Q B Pᵀ with a bidiagonal B, and Qᵀ and
    the rotations that make B diagonal are applied to the k vectors.
    """
    d, k = vectors.shape
    reduced = np.array(matrix, order="F")
    rotated = np.array(vectors, order="F")
    values, off_diagonal, left, right = np.empty((4, d))
    work = np.empty(4 * d + _BLOCK * max(2 * d, k))
    status = _Status()
    # B = Qᵀ matrix P, upper bidiagonal.
    _call("dgebrd", d, d, reduced, d, values, off_diagonal, left, right, work, work.size, status)
    # rotated ← Qᵀ vectors.
    _call(
        "dormbr", b"Q", b"L", b"T", d, k, d, reduced, d, left, rotated, d, work, work.size, status
    )
    # Implicit QR on B: σ in place of the diagonal, and rotated ← Uᵀ vectors on the way; neither
    # right vectors (0 columns) nor left ones (0 rows) are asked for.
    none = (reduced, 1)
    _call("dbdsqr", b"U", d, 0, 0, k, values, off_diagonal, *none, *none, rotated, d, work, status)
    if status.value != 0:
        values = values + np.nan
    return values, rotated


def _stride(rows: np.ndarray) -> int:
    return rows.strides[0] // rows.itemsize


def _call(name: str, *arguments: bytes | int | float | np.ndarray | ctypes.c_int) -> None:
    """Call a routine as Fortran is called: every letter, number and array by its address."""
    addresses = []
    scalars = []  # alive until the routine returns
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            # In half the time of `argument.ctypes.data`.
            addresses.append(argument.__array_interface__["data"][0])
            continue
        scalar = argument if isinstance(argument, ctypes.c_int) else _scalar(argument)
        scalars.append(scalar)
        addresses.append(ctypes.addressof(scalar))
    _routine(name)(*addresses)


# The same few, which no routine changes.
@lru_cache(maxsize=1024, typed=True)
def _scalar(value: bytes | int | float) -> ctypes._SimpleCData:
    return _C[type(value)](value)


@cache
def _routine(name: str) -> Callable[..., None]:
    capsule = (cython_blas.__pyx_capi__ | cython_lapack.__pyx_capi__)[name]
    signature = _name(capsule)
    # The capsule's name is the C signature; every argument is a pointer.
    count = signature.count(b",") + 1
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(_pointer(capsule, signature))
