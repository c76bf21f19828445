"""Reading arrays out of a pickle without running it.

A pickle is a program: loading one from a stranger can do anything. This unpickler knows only how to rebuild numpy
arrays and sparse matrices, takes chumpy's objects as inert boxes around their array, and refuses everything else
before it is looked up. It is Python's own pure implementation: the one in C allocates what a file asks for.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ...errors import FileFormatError, UnsafePickleError

MAX_BYTES = 600_000_000
_SCIPY_MATRICES = ("csc_matrix", "csr_matrix", "coo_matrix")


class Box:
    """Stands for an object of a class that is not loaded; keeps its state and does nothing."""

    kind = "object"

    def __init__(self, *args: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class ChumpyBox(Box):
    kind = "chumpy"


class SparseBox(Box):
    kind = "sparse"


class _ArrayType:
    """Stands for ``numpy.ndarray`` as an argument; calling it is refused."""

    def __call__(self, *args: Any) -> NoReturn:
        raise UnsafePickleError("The pickle calls numpy.ndarray directly.")


class _ObjectType(_ArrayType):
    """Stands for ``object`` as an argument."""


_ARRAY, _OBJECT = _ArrayType(), _ObjectType()


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """numpy's placeholder for an array whose state follows; always empty when numpy wrote it."""
    if kind is not _ARRAY or shape != (0,):
        raise UnsafePickleError(f"The pickle rebuilds an array in an unusual way ({shape!r}).")
    return np.ndarray((0,), np.int8)


def _dtype(*args: Any) -> np.dtype:
    if not args or not isinstance(args[0], str):
        raise UnsafePickleError(
            f"The pickle asks for an array type by {type(args[0]).__name__ if args else 'nothing'}."
        )
    return np.dtype(args[0])


def _scalar(code: Any, data: Any = b"") -> Any:
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(code, np.dtype) or code.hasobject or not isinstance(data, bytes) or len(data) != code.itemsize:
        raise UnsafePickleError("The pickle holds a malformed number.")
    return np.frombuffer(data, code)[0]


def _frombuffer(data: Any, code: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(data, bytes | bytearray) or not isinstance(code, np.dtype) or code.hasobject:
        raise UnsafePickleError("The pickle holds a malformed array.")
    return np.frombuffer(data, code).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise UnsafePickleError(f"The pickle encodes text as {codec!r}.")
    return text.encode("latin1")


def _new_box(kind: Any, base: Any = None, state: Any = None) -> Box:
    """copyreg's constructor of plain objects, for boxes only."""
    if not (isinstance(kind, type) and issubclass(kind, Box)):
        raise UnsafePickleError(f"The pickle builds an object of {kind!r}.")
    return kind()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _new_box,
    ("copyreg", "_reconstructor"): _new_box,
    ("__builtin__", "object"): _OBJECT,
    ("builtins", "object"): _OBJECT,
}


class _ArrayUnpickler(pickle._Unpickler):  # type: ignore[name-defined,misc]
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "chumpy" or module.startswith("chumpy."):
            return ChumpyBox
        if (module == "scipy.sparse" or module.startswith("scipy.sparse.")) and name in _SCIPY_MATRICES:
            return type(name, (SparseBox,), {"kind": name})
        raise UnsafePickleError(
            f"The pickle asks for '{module}.{name}', which is not plain data; it was not loaded.",
            remedy="Get the file from its publisher again, or convert it to .npz on a machine you can lose.",
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnsafePickleError("The pickle refers to objects outside itself.")

    def get_extension(self, code: int) -> NoReturn:
        raise UnsafePickleError(f"The pickle uses extension code {code}.")


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled dictionary; text and other entries are left out.

    Raises:
        UnsafePickleError: the file asks for anything but arrays; nothing of it has run.
        FileFormatError: not a pickle, damaged, too large or not a dictionary.
    """
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB.")
    try:
        with path.open("rb") as f:
            content = _ArrayUnpickler(f, encoding="latin1").load()
    except UnsafePickleError:
        raise
    except Exception as error:  # a pickle can fail in any way; all of them mean the same to the user
        raise FileFormatError(f"{path} is not a readable pickle: {type(error).__name__}: {error}.") from error
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} holds a {type(content).__name__}, not the dictionary of a head model.")
    try:
        arrays = {str(k): _array(v) for k, v in content.items()}
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise FileFormatError(f"{path} holds damaged tables: {type(error).__name__}: {error}.") from error
    return {k: v for k, v in arrays.items() if v is not None}


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, ChumpyBox):
        state = value.state if isinstance(value.state, dict) else {}
        value = state.get("x")
    if isinstance(value, SparseBox):
        return _dense(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value
    return None


def _dense(box: SparseBox) -> np.ndarray:
    """A scipy matrix from its parts, checked first."""
    state = box.state if isinstance(box.state, dict) else {}
    shape = state.get("_shape", state.get("shape"))
    data = state.get("data")
    if not (isinstance(shape, tuple) and len(shape) == 2 and isinstance(data, np.ndarray) and data.ndim == 1):
        raise FileFormatError("The pickle holds a damaged sparse matrix.")
    height, width = (int(n) for n in shape)
    if not (0 < height <= 100_000 and 0 < width <= 100_000 and height * width <= 20_000_000):
        raise FileFormatError(f"The pickle holds a sparse matrix of {height} x {width}.")
    if box.kind == "coo_matrix":
        coords = state.get("coords")  # scipy 1.13 on
        pair = coords if isinstance(coords, tuple) and len(coords) == 2 else (state.get("row"), state.get("col"))
        rows, columns = np.asarray(pair[0]), np.asarray(pair[1])
    else:
        outer = height if box.kind == "csr_matrix" else width
        indices, indptr = np.asarray(state.get("indices")), np.asarray(state.get("indptr"))
        if indptr.shape != (outer + 1,) or (np.diff(indptr) < 0).any() or indptr[-1] != data.size:
            raise FileFormatError("The pickle holds a damaged sparse matrix.")
        major = np.repeat(np.arange(outer), np.diff(indptr))
        rows, columns = (major, indices) if box.kind == "csr_matrix" else (indices, major)
    ok = rows.shape == columns.shape == data.shape and data.dtype.kind in "fiu"
    if not ok or (data.size and (min(rows.min(), columns.min()) < 0 or rows.max() >= height or columns.max() >= width)):
        raise FileFormatError("The pickle holds a damaged sparse matrix.")
    out = np.zeros((height, width))
    np.add.at(out, (rows, columns), data)
    return out
