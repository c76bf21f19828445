"""Atomic file writing: a reader sees the old file or the whole new one, and a failure loses nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:32]}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step. Raises ``ExportError``."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _cannot_write(path: Path, error: OSError) -> ExportError:
    return ExportError(
        f"'{path}' cannot be written: {error.strerror or error}.",
        remedy="Choose a folder that you may write to and that has space left.",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
