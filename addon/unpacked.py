"""Avatars in files beside the .blend: which paths are taken, reading and writing them. No bpy here.

A .blend file may come from a stranger. So a path in it is a plain name below the .blend's own folder: nothing absolute,
no network share, no way up, no symbolic link, and a regular ``.gshead`` file of the recorded content.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from gshead_backend.avatar.layout import MAX_FILE_BYTES
from gshead_backend.errors import FileFormatError
from gshead_backend.files import write_atomic

SUFFIX = ".gshead"
_RELINK = "Put the file back, or use Relink Avatar in the Head panel."
_FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f]')
_MOST_PARTS = 16


def parts_of(stored: str) -> tuple[str, ...]:
    """The folders and the name of a stored path such as ``//avatars/Ada.gshead``. Raises ``FileFormatError``."""
    parts = tuple(stored[2:].split("/")) if stored.startswith("//") else ()
    plain = all(part not in ("", ".", "..") and not _FORBIDDEN.search(part) for part in parts)
    if not parts or not plain or len(parts) > _MOST_PARTS or not parts[-1].endswith(SUFFIX):
        raise FileFormatError(
            f"The avatar's file {stored!r} is not a {SUFFIX} file below the .blend file's folder, and is not opened.",
            remedy="Use Relink Avatar in the Head panel.",
        )
    return parts


def read_beside(folder: Path, stored: str, sha256: str) -> bytes:
    """The bytes of a stored path below ``folder``, the .blend's own.

    Raises ``FileFormatError`` when the path is not allowed, or the file is missing, a link, or of other content.
    """
    path = folder.joinpath(*parts_of(stored))
    try:
        base = folder.resolve(strict=True)
        if path.resolve(strict=True) != base.joinpath(*parts_of(stored)):
            raise _refused(stored, "it leads through a symbolic link")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                raise _refused(stored, "it is no file, or too large for an avatar")
            data = file.read(MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise FileFormatError(f"The avatar's file '{stored}' is missing.", remedy=_RELINK) from error
    except OSError as error:
        raise FileFormatError(
            f"The avatar's file '{stored}' cannot be read: {error.strerror or error}.", remedy=_RELINK
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FileFormatError(f"The avatar's file '{stored}' holds another avatar than before.", remedy=_RELINK)
    return data


def write_beside(folder: Path, name: str, data: bytes) -> str:
    """Write an avatar below ``folder`` under a name like ``name`` and return the path to store.

    A file of that name is kept when it holds the same avatar; another one is never written over: the new file then
    has the start of its hash in its name. Raises ``ExportError``.
    """
    digest = hashlib.sha256(data).hexdigest()
    plain = _FORBIDDEN.sub("_", name.replace("/", "_")).strip(". ")[:80] or "Head"
    for candidate in (f"{plain}{SUFFIX}", f"{plain}-{digest[:12]}{SUFFIX}"):
        path = folder / candidate
        if path.is_symlink() or (path.exists() and not _holds(path, digest)):
            continue
        if not path.exists():
            write_atomic(path, data)
        return f"//{candidate}"
    path = folder / f"{plain}-{digest}{SUFFIX}"
    write_atomic(path, data)  # replaces a link instead of following it
    return f"//{path.name}"


def stored_path(folder: Path, path: Path) -> str | None:
    """``path`` as it would be stored in a .blend of ``folder``; None when it lies elsewhere."""
    try:
        stored = "//" + path.resolve().relative_to(folder.resolve()).as_posix()
        parts_of(stored)
    except (ValueError, OSError, FileFormatError):
        return None
    return stored


def _holds(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _refused(stored: str, why: str) -> FileFormatError:
    return FileFormatError(f"The avatar's file '{stored}' is not opened: {why}.", remedy=_RELINK)
