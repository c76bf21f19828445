"""Atomic file writing: a reader sees the old file or the whole new one, and a failure loses nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import ExportError


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` (same ending) that takes its place when the block succeeds.

    Missing folders are made. Raises ``ExportError`` when the place cannot be written; any other error of the block
    passes through, and in both cases ``path`` is as it was and nothing else is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:32]}-{os.urandom(6).hex()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the umask decides, as for any file
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """``path`` as a folder, made with its parents when missing. Raises ``ExportError``."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def check_writable(path: str | Path) -> None:
    """Raise ``ExportError`` now if ``path`` cannot be written, instead of after minutes of work."""
    path = Path(path)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # for example a name that is too long
        raise _cannot_write(path, error) from error
    if path.is_dir():
        raise ExportError(f"'{path}' cannot be written: it is a folder.", remedy="Give the name of a file.")
    with contextlib.suppress(_Dismissed), atomic_path(path):
        raise _Dismissed


def text_path(path: str | Path) -> str:
    """``path`` for a library that takes names as text. Raises ``ExportError`` for one that is not (POSIX allows it)."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "backslashreplace").decode()
        raise ExportError(
            f"'{shown}' cannot be written: its name is not UTF-8 text.", remedy="Choose another name or folder."
        ) from None
    return text


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step. Raises ``ExportError``."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


class _Dismissed(Exception):
    pass


def _cannot_write(path: Path, error: OSError) -> ExportError:
    return ExportError(
        f"'{path}' cannot be written: {error.strerror or error}.",
        remedy="Choose a folder that you may write to and that has space left.",
    )
