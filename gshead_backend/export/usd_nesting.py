"""How deeply a USD text file is nested, found without OpenUSD: its parser recurses and takes the process with it.

Twenty thousand nested prims, 400 kB of text, overflow its stack. Binary crates (.usdc) have no such parser.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from ..errors import FileFormatError

MOST = 200
"""Levels of brackets of all kinds; files of this project have about 10."""
_MAGIC = b"#usda"
_CHUNK = 1 << 24
_QUIET = re.compile(
    rb'"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    rb"|@@@.*?@@@|@[^@\n]*@|#[^\n]*|//[^\n]*|/\*.*?\*/",
    re.DOTALL,
)
"""Strings, asset paths and comments: brackets in them are text."""
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"([{")], _STEPS[list(b")]}")] = 1, -1


def check_nesting(path: Path) -> None:
    """Raise ``FileFormatError`` when the text that OpenUSD would parse is nested too deeply. May raise ``OSError``."""
    with path.open("rb") as file:
        start = file.read(5)
    text = b""
    if start == _MAGIC:
        text = path.read_bytes()
    elif start[:2] == b"PK":
        text = _first_of_archive(path)
    if text.startswith(_MAGIC) and (depth := nesting(text)) > MOST:
        raise FileFormatError(f"it is nested {depth} levels deep; at most {MOST} are read.")


def nesting(text: bytes) -> int:
    """The deepest level of brackets outside of strings, asset paths and comments."""
    codes = np.frombuffer(_QUIET.sub(b"", text), np.uint8)
    level = deepest = 0
    for at in range(0, codes.size, _CHUNK):
        levels = level + np.cumsum(_STEPS[codes[at : at + _CHUNK]], dtype=np.int64)
        level, deepest = int(levels[-1]), max(deepest, int(levels.max()))
    return deepest


def _first_of_archive(path: Path) -> bytes:
    """The root layer of a .usdz: its first file, which is not compressed and so no larger than the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            first = archive.infolist()[0]
            if first.compress_type != zipfile.ZIP_STORED or first.file_size > path.stat().st_size:
                raise FileFormatError("it is a .usdz whose files are compressed, which OpenUSD does not read.")
            return archive.read(first)
    except (zipfile.BadZipFile, IndexError, NotImplementedError, EOFError, RuntimeError) as error:
        raise FileFormatError(f"it is a damaged archive ({type(error).__name__}).") from error
