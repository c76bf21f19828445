"""Value clips: chunks written on their own, in any order, play as one animation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import peers
import pxr
import pytest
from pxr import Usd, UsdGeom
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.take import demo_take
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import orbit_camera
from gshead_backend.errors import ArgumentError
from gshead_backend.export.usd import export_usd
from gshead_backend.export.usd_clips import chunk_path, chunk_ranges, export_chunk
from gshead_backend.head import HeadModel, HeadPose

FIRST, LAST, CHUNK = 10, 33, 10


@pytest.fixture(params=[True, False], ids=["residual", "plain"])
def avatar(request: pytest.FixtureRequest, tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, 90, dynamic=request.param)


@pytest.fixture
def poses(avatar: Avatar) -> list[HeadPose]:
    take = demo_take()
    return [take.pose(avatar.head, f) for f in range(FIRST, LAST + 1)]


def write(path: Path, avatar: Avatar, poses: list[HeadPose], **more: Any) -> Path:
    arguments: dict[str, Any] = {
        "pxr": pxr,
        "start_frame": FIRST,
        "mode": "clips",
        "chunk": CHUNK,
        "texture": False,
    } | more
    return export_usd(path, avatar, poses, **arguments)


def check(path: Path, avatar: Avatar, poses: list[HeadPose]) -> None:
    stage = Usd.Stage.Open(str(path))
    get = stage.GetPrimAtPath("/Avatar/Splats").GetAttribute
    assert get("positions").GetTimeSamples() == list(range(FIRST, LAST + 1))
    for i, pose in enumerate(poses):
        want, at = drive(avatar, pose), FIRST + i
        assert np.abs(np.array(get("positions").Get(at)) - want.means).max() < 1e-6, f"frame {at}"
        assert np.allclose(np.array(get("scales").Get(at)), want.scales, rtol=1e-5)
        assert np.allclose(np.array(get("opacities").Get(at)), want.opacities, atol=1e-6)
        low, high = np.array(get("extent").Get(at))
        assert (low < want.means.min(0)).all()
        assert (high > want.means.max(0)).all()


def test_the_ranges_cover_every_frame_once() -> None:
    assert chunk_ranges(10, 33, 10) == [(10, 19), (20, 29), (30, 33)]
    assert chunk_ranges(1, 1, 24) == [(1, 1)]
    for wrong in ((5, 4, 3), (1, 5, 0)):
        with pytest.raises(ArgumentError):
            chunk_ranges(*wrong)


def test_clips_play_as_the_baked_file_does(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    path = write(tmp_path / "shot.usda", avatar, poses, camera=orbit_camera(0), texture=True)
    names = ["shot.0010-0019.usdc", "shot.0020-0029.usdc", "shot.0030-0033.usdc", "shot.manifest.usda"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*names, "shot.topology.usdc", "shot.usda", "shot_head.png"]
    check(path, avatar, poses)
    stage = Usd.Stage.Open(str(path))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (FIRST, LAST)
    assert stage.GetPrimAtPath("/Camera")
    splats = stage.GetPrimAtPath("/Avatar/Splats")
    assert np.allclose(np.array(splats.GetAttribute("positions").Get()), drive(avatar, poses[0]).means, atol=1e-6)
    assert UsdGeom.PrimvarsAPI(splats).GetPrimvar("gshead:triangle").Get() is not None
    assert peers.usd_errors(path) == []


def test_between_frames_of_two_chunks_positions_are_interpolated(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path
) -> None:
    count = avatar.head.expression_count
    poses = [
        HeadPose.from_vector(np.eye(count + 18)[count + 4] * 0.03 * i * i) for i in range(len(poses))
    ]  # neck turns
    stage = Usd.Stage.Open(str(write(tmp_path / "shot.usda", avatar, poses)))
    positions = stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positions")
    for at in (14.5, 19.5):
        before, after = drive(avatar, poses[int(at) - FIRST]).means, drive(avatar, poses[int(at) - FIRST + 1]).means
        assert np.abs(before - after).max() > 1e-4
        assert np.allclose(np.array(positions.Get(at)), (before + after) / 2, atol=1e-6), at


def test_tasks_write_their_chunks_by_themselves(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    path = tmp_path / "shot.usd"
    ranges = chunk_ranges(FIRST, LAST, CHUNK)
    for first, last in reversed(ranges):
        part = poses[first - FIRST : last - FIRST + 1]
        made = export_chunk(path, pxr=pxr, avatar=avatar, poses=part, start_frame=first)
        assert made == chunk_path(path, first, last)
    assert write(path, avatar, poses, write_chunks=False) == path
    check(path, avatar, poses)
    again = chunk_path(path, *ranges[1])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p != again}
    again.unlink()
    export_chunk(path, pxr=pxr, avatar=avatar, poses=poses[10:20], start_frame=20)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p != again} == before
    check(path, avatar, poses)


def test_one_frame_and_half_precision_work(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    stage = Usd.Stage.Open(str(write(tmp_path / "s.usda", avatar, poses[:1], precision="half")))
    got = np.array(stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positionsh").Get(FIRST))
    assert np.abs(got - drive(avatar, poses[0]).means).max() < 2e-4


def test_what_clips_cannot_be_is_refused(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="several files"):
        write(tmp_path / "s.usdz", avatar, poses)
    with pytest.raises(ArgumentError, match="whole frames"):
        write(tmp_path / "s.usda", avatar, poses, start_frame=1.5)
    with pytest.raises(ArgumentError, match="chunks of 0"):
        write(tmp_path / "s.usda", avatar, poses, chunk=0)
    with pytest.raises(ArgumentError, match="shape"):
        export_chunk(tmp_path / "s.usda", pxr=pxr, avatar=avatar, poses=poses[:1], vertices=[np.zeros((2, 3))])
    assert not list(tmp_path.iterdir())
