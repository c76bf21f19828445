"""Paths of unpacked avatars in a .blend from a stranger: only a regular file below the .blend's folder is opened."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from test_pure import part

from gshead_backend.errors import FileFormatError

DATA = b"an avatar"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    "stored",
    [
        "/etc/passwd", "//../secret.gshead", "//a/../../secret.gshead", "//./a.gshead", "//a//b.gshead", "a.gshead",
        "//", "//a.txt", "\\\\server\\share\\a.gshead", "//C:/a.gshead", "//a\\..\\b.gshead", "//a\x00.gshead",
        "file://a.gshead", "///server/a.gshead", "//" + "a/" * 40 + "b.gshead",
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_folder_is_never_opened(tmp_path: Path, stored: str) -> None:
    (tmp_path / "secret.gshead").write_bytes(DATA)
    with pytest.raises(FileFormatError, match="is not opened"):
        part("unpacked").read_beside(tmp_path / "shots", stored, DIGEST)


def test_files_below_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads" / "Ada.gshead").write_bytes(DATA)
    assert part("unpacked").read_beside(tmp_path, "//heads/Ada.gshead", DIGEST) == DATA
    assert part("unpacked").stored_path(tmp_path, tmp_path / "heads" / "Ada.gshead") == "//heads/Ada.gshead"
    assert part("unpacked").stored_path(tmp_path / "heads", tmp_path / "Ada.gshead") is None


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Ada.gshead").write_bytes(DATA + b"!")
    with pytest.raises(FileFormatError, match="another avatar"):
        part("unpacked").read_beside(tmp_path, "//Ada.gshead", DIGEST)


@pytest.mark.skipif(os.name == "nt", reason="SKIPPED: links and pipes need rights on Windows")
@pytest.mark.parametrize("kind", ["file", "folder", "pipe"])
def test_links_and_pipes_are_refused(tmp_path: Path, kind: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "Ada.gshead").write_bytes(DATA)
    if kind == "file":
        (inside / "Ada.gshead").symlink_to(outside / "Ada.gshead")
    elif kind == "folder":
        (inside / "sub").symlink_to(outside)
    else:
        os.mkfifo(inside / "Ada.gshead")
    stored = "//sub/Ada.gshead" if kind == "folder" else "//Ada.gshead"
    with pytest.raises(FileFormatError, match="is not opened"):
        part("unpacked").read_beside(inside, stored, DIGEST)


def test_another_file_is_never_written_over(tmp_path: Path) -> None:
    unpacked = part("unpacked")
    assert unpacked.write_beside(tmp_path, "Ada", DATA) == "//Ada.gshead"
    assert unpacked.write_beside(tmp_path, "Ada", DATA) == "//Ada.gshead"
    second = unpacked.write_beside(tmp_path, "Ada", b"another")
    assert second != "//Ada.gshead"
    assert (tmp_path / "Ada.gshead").read_bytes() == DATA
    assert (tmp_path / second[2:]).read_bytes() == b"another"
    assert unpacked.write_beside(tmp_path, "../../a:b\\c", DATA) == "//_.._a_b_c.gshead"
    assert unpacked.write_beside(tmp_path, "...", DATA) == "//Head.gshead"
    assert {p.name for p in tmp_path.parent.iterdir() if p.suffix == ".gshead"} == set()
