"""Wherever a stranger's name is joined to a folder: ways up, absolute paths, links, siblings that begin alike."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mutate import damaged

sys.path.insert(0, str(Path(__file__).parents[1] / "blender"))

from test_pure import part

from gshead_backend.errors import ArgumentError, FileFormatError, GsheadError, SceneError
from gshead_backend.evaluation.multiview import _inside
from gshead_backend.farm.backend import stop_after_step
from gshead_backend.farm.frames import FrameFolder
from gshead_backend.head.importing.archive import read_npz
from gshead_backend.head.importing.install import import_head
from gshead_backend.portrait.tracking.store import forget
from gshead_backend.protocol.launcher import check_name
from gshead_backend.upkeep import clearing
from gshead_backend.upkeep.places import BROUGHT, LEFTOVERS, Place, holding

pytestmark = pytest.mark.skipif(os.name != "posix", reason="symbolic links")
OUTSIDE = (
    "../secret",
    "/etc/passwd",
    "a/../../secret",
    "..",
    "../inside-too/secret",
    "x\0y",
    "C:\\secret",
    "\\\\host\\x",
)


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """``inside`` beside ``inside-too``, whose name begins alike, and links from one to the other."""
    for name in ("inside", "inside-too"):
        (tmp_path / name).mkdir()
    for place in (tmp_path, tmp_path / "inside-too"):
        (place / "secret").write_text("secret")
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "inside-too" / "secret")
    (tmp_path / "inside" / "way").symlink_to(tmp_path / "inside-too", target_is_directory=True)
    return tmp_path / "inside"


@pytest.mark.parametrize("name", [*OUTSIDE, "link", "way/secret", ""])
def test_files_of_a_multi_view_folder(inside: Path, name: str) -> None:
    with pytest.raises(SceneError):
        _inside(inside, name, "image")


@pytest.mark.parametrize("name", [*OUTSIDE, "link", "way/secret", ""])
def test_avatars_beside_a_blend(inside: Path, name: str) -> None:
    for stored in (f"//{name}.gshead", f"{name}.gshead", name):
        with pytest.raises(FileFormatError):
            part("unpacked").read_beside(inside, stored, "0" * 64)


def test_a_sibling_that_begins_alike_is_not_below(inside: Path) -> None:
    (inside.with_name("inside-too") / "a.gshead").write_bytes(b"x")
    assert part("unpacked").stored_path(inside, inside.with_name("inside-too") / "a.gshead") is None
    assert part("unpacked").stored_path(inside, inside / "way" / "a.gshead") is None
    (inside / "a.gshead").write_bytes(b"x")
    assert part("unpacked").stored_path(inside, inside / "a.gshead") == "//a.gshead"


@pytest.mark.parametrize("name", [*OUTSIDE, "", "a/b", "a.b", "é", "x" * 41])
def test_names_of_backends(name: str) -> None:
    with pytest.raises(ArgumentError):
        check_name(name)


@pytest.mark.parametrize("name", [*OUTSIDE, ".hidden", "a/b", "default", "gshead-default"])
def test_names_of_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(ArgumentError, match="cannot be the name of a head"):
        import_head(tmp_path / "model.npz", name)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", [*OUTSIDE, "link", "way/secret"])
def test_files_that_a_farms_record_names(inside: Path, name: str) -> None:
    """A record with a path in it is no record: nothing of that file is read, and the frame is rendered again."""
    folder = FrameFolder(inside, "k")
    record = {"frame": 7, "file": name, "sha256": "0" * 64, "bytes": 6, "key": "k", "seconds": 1, "versions": {}}
    (inside / ".gshead" / "0007.json").write_text(json.dumps(record))
    assert not folder.valid(7)
    assert not any(name in text for text in [folder.write_manifest([7]).read_text()] if name not in ("link", ".."))


def test_a_frame_is_moved_onto_a_link_and_not_through_it(inside: Path) -> None:
    folder = FrameFolder(inside, "k")
    (inside / "0007.png").symlink_to(inside.with_name("secret"))
    path = folder.scratch(7).with_suffix(".png")
    path.write_bytes(b"picture")
    folder.finish(7, path, 1.0, {})
    assert inside.with_name("secret").read_text() == "secret"
    assert not (inside / "0007.png").is_symlink()


@pytest.mark.parametrize("name", ["elsewhere", "gsh-elsewhere", "gsh-open", "gsh-link", "up/../gsh-elsewhere"])
def test_a_farms_note_ends_and_removes_only_what_a_step_made(tmp_path: Path, name: str) -> None:
    """A note that names somebody's folder and process: neither goes."""
    for folder in ("elsewhere", "gsh-elsewhere", "gsh-open", "up"):
        (tmp_path / folder).mkdir(mode=0o755 if folder == "gsh-open" else 0o700)
        (tmp_path / folder / "work").write_text("years of it")
    (tmp_path / "gsh-link").symlink_to(tmp_path / "elsewhere")
    note = tmp_path / "note.json"
    note.write_text(json.dumps({"folder": str(tmp_path / name), "pid": os.getpid()}))
    with pytest.raises(GsheadError):
        stop_after_step(note)
    assert len([path for path in tmp_path.rglob("work") if path.read_text() == "years of it"]) == 4


def test_clearing_a_cache_leaves_what_links_lead_to(inside: Path) -> None:
    own = inside / "frame"
    own.write_bytes(b"x" * 10)
    found = holding(Place("frames", "pictures", inside, True, ""))
    assert sorted(item.path.name for item in found.items) == ["frame", "link", "way"]
    done = clearing._remove(found, lambda item: True)
    assert done.files == 3
    assert list(inside.iterdir()) == []
    assert [p.read_text() for p in sorted(inside.parent.rglob("secret"))] == ["secret", "secret"]


@pytest.mark.parametrize("kind", [LEFTOVERS, BROUGHT, "pictures"])
def test_a_place_that_is_a_link_is_not_entered(inside: Path, kind: str) -> None:
    found = holding(Place("frames", kind, inside / "way", True, ""))
    assert found.items == ()
    assert clearing._remove(found, lambda item: True).files == 0
    assert (inside.with_name("inside-too") / "secret").exists()


def test_a_folder_that_no_tracking_made_stays(inside: Path) -> None:
    forget(inside.with_name("inside-too"))
    (inside.with_name("inside-too") / "clip.json").write_text("{}")
    forget(inside / "way")
    assert (inside.with_name("inside-too") / "secret").exists()


def test_archives_are_read_in_memory_and_their_names_are_no_paths(tmp_path: Path) -> None:
    arrays = {"v_template": np.zeros((4, 3)), "weights": np.eye(3)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    path, before = tmp_path / "model.npz", sorted(tmp_path.parent.rglob("*"))
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../slipped.npy", "/tmp/slipped.npy", "a/../b.npy"):
            content = io.BytesIO()
            np.save(content, np.ones(3))
            archive.writestr(name, content.getvalue())
    assert all((array == 1).all() for array in read_npz(path).values())
    path.unlink()
    assert sorted(tmp_path.parent.rglob("*")) == before
    refused = 0
    for data in damaged(buffer.getvalue(), 600, 12):
        path.write_bytes(data)
        try:
            read_npz(path)
        except FileFormatError:
            refused += 1
    assert refused > 100
