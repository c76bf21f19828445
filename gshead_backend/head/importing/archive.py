"""Arrays out of a stranger's .npz: numbers, and text where it is asked for; nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ...errors import FileFormatError
from .unpickle import MAX_BYTES

_BROKEN = (
    OSError, ValueError, KeyError, EOFError, MemoryError, OverflowError, TypeError, SyntaxError, RecursionError,
    NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What damaged archives and array headers raise in the libraries: unknown compression, passwords, absurd shapes."""


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The numeric and text arrays of an .npz; entries of other kinds are left out.

    Raises ``FileFormatError`` when the file is no .npz or unpacks to more than a head model needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(i.file_size for i in archive.infolist())
        if total > MAX_BYTES:
            raise FileFormatError(f"{path.name} unpacks to {total // 1_000_000} MB.")
        with np.load(path, allow_pickle=False) as content:
            return {k: content[k] for k in content.files if _plain(content, k)}
    except _BROKEN as error:
        raise FileFormatError(f"{path.name} is not a readable .npz file: {error}.") from error


def _plain(content: np.lib.npyio.NpzFile, key: str) -> bool:
    """Whether an entry is an array of numbers or text; pickled objects are not."""
    try:
        return content[key].dtype.kind in "fiubU"
    except ValueError:
        return False
