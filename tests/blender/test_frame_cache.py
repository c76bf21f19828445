"""The cache of viewport frames: what is found again, what is not, its limit, its files, and damage. Without Blender."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pure import part

from gshead_backend.camera import Camera
from gshead_backend.errors import FileFormatError
from gshead_backend.head import HeadPose


def frame(seed: int = 0, depth: bool = True, size: tuple[int, int] = (60, 40)) -> Any:
    """A frame with a filled rectangle of noise."""
    rng = np.random.default_rng(seed)
    rgba = np.zeros((size[1], size[0], 4), np.uint8)
    rgba[5:30, 8:50] = rng.integers(1, 256, (25, 42, 4))
    metres = np.where(rgba[..., 3] > 0, 1.5, np.inf).astype(np.float32)
    return part("texels").texels(rgba, metres if depth else None)


def same(a: Any, b: Any) -> bool:
    depths = (a.depth is None and b.depth is None) or np.array_equal(a.depth, b.depth)
    return (a.size, a.place) == (b.size, b.place) and np.array_equal(a.color, b.color) and depths


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Any]:
    made = part("frame_cache").FrameCache(tmp_path / "frames", 2**20)
    yield made
    made.close()


def loaded(cache: Any, key: str, depth: bool = True) -> Any:
    """What a view gets that asks, and asks again when the disk has answered."""
    found = cache.get(key, depth=depth)
    cache.wait()
    return found or cache.get(key, depth=depth)


def test_a_frame_is_found_in_memory_at_once_and_on_the_disk_later(cache: Any, tmp_path: Path) -> None:
    one = frame()
    assert cache.get("k", depth=True) is None
    cache.put("k", one)
    assert cache.get("k", depth=True) is one
    cache.wait()
    other = part("frame_cache").FrameCache(tmp_path / "frames", 2**20)
    other.wait()
    assert same(loaded(other, "k"), one)
    assert not other.loading("k", depth=True)
    other.close()


def test_a_frame_with_depth_serves_a_view_without_but_not_the_other_way(cache: Any) -> None:
    cache.put("with", frame(depth=True))
    cache.put("without", frame(depth=False))
    assert cache.get("with", depth=False) is not None
    assert loaded(cache, "without", depth=True) is None


def test_files_and_folder_are_private(cache: Any) -> None:
    cache.put("k", frame())
    cache.wait()
    if os.name == "nt":
        pytest.skip("SKIPPED: Windows keeps the user's folders private by access lists")
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    (file,) = cache.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_longest_unused_go_first(cache: Any) -> None:
    cache.put("0", frame(0))
    cache.wait()
    size = cache.size()[1]
    cache.resize(int(3.5 * size))
    for k in (1, 2):
        cache.put(str(k), frame(k))
    cache.wait()
    cache._memory.clear()
    assert loaded(cache, "0") is not None, "used again, so it stays"
    cache.put("3", frame(3))
    cache.wait()
    assert sorted(p.name for p in cache.folder.iterdir()) == ["0d.frame", "2d.frame", "3d.frame"]
    assert cache.size()[1] <= cache.limit_bytes


def test_what_nobody_looked_at_for_too_long_goes(cache: Any, tmp_path: Path) -> None:
    for key in ("old", "new"):
        cache.put(key, frame())
    cache.wait()
    (old,) = (tmp_path / "frames").glob("old*.frame")
    os.utime(old, (time.time() - 40 * 86400,) * 2)
    other = part("frame_cache").FrameCache(tmp_path / "frames", 2**20, 30)
    other.wait()
    other.close()
    assert (loaded(other, "old"), other.size()[0]) == (None, 1)
    assert not old.exists()


def test_a_damaged_or_foreign_file_costs_its_frame_only(cache: Any, tmp_path: Path) -> None:
    cache.put("k", frame())
    cache.wait()
    (file,) = cache.folder.iterdir()
    whole = file.read_bytes()
    for damage in (whole[:-3], whole[:20], b"", whole[:60] + b"\0\1" + whole[62:], os.urandom(400)):
        file.write_bytes(damage)
        again = part("frame_cache").FrameCache(tmp_path / "frames", 2**20)
        again.wait()
        assert loaded(again, "k") is None
        assert not file.exists()
        again.close()


def test_a_slow_disk_holds_nobody_up(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("k", frame())
    cache.wait()
    cache._memory.clear()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (time.sleep(0.3), read(path))[1])
    started = time.perf_counter()
    assert cache.get("k", depth=True) is None
    assert time.perf_counter() - started < 0.2
    assert cache.loading("k", depth=True)
    cache.wait()
    assert not cache.loading("k", depth=True)
    assert cache.get("k", depth=True) is not None


def test_clearing_leaves_no_file(cache: Any) -> None:
    for k in range(3):
        cache.put(str(k), frame(k))
    cache.clear()
    cache.wait()
    assert list(cache.folder.iterdir()) == []
    assert cache.get("0", depth=True) is None
    cache.put("9", frame(9))
    cache.wait()
    assert cache.size()[0] == 1, "it goes on keeping frames"


@pytest.mark.parametrize("field", [2, 3, 4, 5, 6, 7])
def test_sizes_that_do_not_hold_together_are_refused_before_memory_is_taken(field: int) -> None:
    files = part("frame_files")
    values = list(files._HEADER.unpack_from(data := files.frame_to_bytes(frame())))
    values[field] = 2**31
    with pytest.raises(FileFormatError, match="header"):
        files.frame_from_bytes(files._HEADER.pack(*values) + data[files._HEADER.size :])


def wire(**changes: Any) -> tuple[list[Any], Camera]:
    """Wire heads and a camera."""
    instance = part("session").instance
    pose = replace(HeadPose.neutral(3), jaw_pose=np.array([changes.get("jaw", 0.1), 0, 0], np.float32))
    place = np.eye(4)
    place[0, 3] = changes.get("x", 0.0)
    heads = [
        (
            instance(changes.get("avatar", "a" * 64), place, pose, changes.get("vertices"), *changes.get("light", ())),
            b"",
        )
    ]
    heads *= changes.get("count", 1)
    K = np.array([[100, 0, 32], [0, 100, 24], [0, 0, 1.0]])
    camera = Camera(changes.get("width", 64), 48, K, np.eye(4), changes.get("near", 0.1), 100.0)
    return heads, camera


def test_a_key_names_everything_that_the_picture_depends_on() -> None:
    key = part("frame_files").frame_key
    assert key(*wire()) == key(*wire())
    changes: list[dict[str, Any]] = [
        {}, {"jaw": 0.1001}, {"x": 0.5}, {"avatar": "b" * 64}, {"width": 65}, {"near": 0.2}, {"count": 2},
        {"vertices": np.zeros((5, 3), np.float32)}, {"vertices": np.ones((5, 3), np.float32)},
        {"light": (np.zeros((9, 3)),)}, {"light": (np.ones((9, 3)),)}, {"light": (np.ones((9, 3)), 0.5)},
    ]  # fmt: skip
    assert len({key(*wire(**change)) for change in changes}) == len(changes)


def test_what_a_redraw_pays_is_far_below_its_budget(cache: Any) -> None:
    """3 ms a redraw is the budget for everything; the quickest of many is what the work itself takes."""
    heads, camera = wire(vertices=np.zeros((5000, 3), np.float32))
    cache.put(part("frame_files").frame_key(heads, camera), frame(size=(1920, 1080)))
    times = []
    for _ in range(50):
        start = time.perf_counter()
        assert cache.get(part("frame_files").frame_key(heads, camera), depth=True) is not None
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3
