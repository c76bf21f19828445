"""Atomic writing: the old file or the whole new one, with the permissions of any other file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gshead_backend.errors import ExportError
from gshead_backend.files import atomic_path, check_writable, make_folder, write_atomic


def _write_half(path: Path) -> None:
    with atomic_path(path) as temporary:
        assert temporary.suffix == path.suffix
        temporary.write_bytes(b"half of the n")
        raise ZeroDivisionError


def test_a_failure_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    with pytest.raises(ZeroDivisionError):
        _write_half(path)
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    assert make_folder(make_folder(tmp_path / "a" / "b")).is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match=r"file.sub' cannot be written"):
        make_folder(tmp_path / "file" / "sub")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_files_get_the_permissions_the_user_chose(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(ExportError, match="cannot be written"):
            write_atomic(path, b"")
        with pytest.raises(ExportError, match="cannot be written"):
            check_writable(path)
    check_writable(tmp_path / "fine")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
