"""Avatars in .blend files, work without a backend, backends that die, and several Blenders on one backend."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from harness import ROOT, Blender, read_line, result, running
from pxr import Usd, UsdGeom, UsdSkel
from test_render import read_exr

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import load_avatar
from gshead_backend.head import HeadPose


def test_the_avatar_stays_with_its_head(blender: Blender, tmp_path: Path) -> None:
    seen = blender.run("data_life", out=str(tmp_path))
    for key in ("reopened", "duplicated", "appended", "linked"):
        assert seen[key] == seen["wanted"], key
    assert seen["texts"] == 1, "duplicates share the stored bytes"
    assert seen["refine"] == {
        "another_shape": [False, True], "done": True, "same": True, "keyed": True, "gone": False, "changed": True,
        "texts": 0,
    }  # fmt: skip
    assert seen["after_delete"] == 0, "a deleted head does not keep megabytes in the file"
    assert seen["jaws"]["Ada"] < 1e-6 < 0.3 < seen["jaws"][seen["twin"]], "a duplicate is driven by its own rig"
    assert seen["as_vertices"] == []
    assert seen["instances"] == [-0.25, 0.0, 0.25]
    assert seen["appended_jaw"] > 0.2
    assert seen["linked_jaw"] > 0.2
    before, after = read_exr(tmp_path / "before.exr"), read_exr(tmp_path / "after.exr")
    assert before[0][..., 3].max() > 0.9
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.alone
def test_a_killed_backend_fails_the_frame_and_the_second_try_works(blender: Blender, tmp_path: Path) -> None:
    seen = blender.run("kill_backend", out=str(tmp_path))
    assert "GSH-E60" in seen["message"]
    assert seen["took"] < 1.0
    assert seen["first"] == [f"{k:04d}.png" for k in range(1, 5)], "no file for the frame that failed"
    assert seen["second"] == [f"{k:04d}.png" for k in range(1, 7)]
    assert seen["state"] == "lost"
    assert seen["new_pid"]
    assert "The backend had ended; it was started again." in seen["output"], "killed between frames: said, not failed"


def test_two_blenders_share_one_backend_that_ends_with_the_last(blender: Blender, tmp_path: Path) -> None:
    def start(seed: int, wait: bool):
        return blender.start("shared_backend", out=str(tmp_path), seed=seed, frames=4, wait=wait)

    alone = blender.run("shared_backend", out=str(tmp_path), seed=7, frames=1, wait=False)
    wanted = read_exr(tmp_path / "7_00.exr")[0]
    assert ended(alone["pid"], 10), "the backend ends when its only Blender does"
    with running(start(5, True)) as first:
        pid = int(read_line(first, "CONNECTED"))
        with running(start(7, False)) as second:
            assert int(read_line(second, "CONNECTED")) == pid
            result(second)
        assert psutil.pid_exists(pid), "one Blender still uses it"
        read_line(first, "RENDERED")
        assert first.stdin is not None
        first.stdin.write("\n")
        first.stdin.flush()
        result(first)
    assert ended(pid, 10)
    for k in range(4):
        np.testing.assert_array_equal(read_exr(tmp_path / f"7_{k:02d}.exr")[0], wanted)
        np.testing.assert_array_equal(read_exr(tmp_path / f"5_{k:02d}.exr")[0], read_exr(tmp_path / "5_last.exr")[0])
    assert np.abs(read_exr(tmp_path / "5_last.exr")[0] - wanted).max() > 0.1, "the two heads do look different"


def ended(pid: int, seconds: float) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_without_a_backend_heads_are_loaded_keyed_and_exported(blender: Blender, tmp_path: Path) -> None:
    blender.environment["GSHEAD_BACKEND_COMMAND"] = '["/nowhere/gshead", "serve"]'
    take = ROOT / "samples" / "take_demo.json"
    seen = blender.run("offline", out=str(tmp_path), take=str(take))
    assert seen["same"], "the saved avatar is the loaded one, byte for byte"
    assert "GSH-E600" in seen["failure"]
    assert "/nowhere/gshead" in seen["failure"]
    assert not (tmp_path / "no.png").exists()
    assert "GSH-E700" in seen["without_usd"]
    assert not (tmp_path / "no.usdc").exists()
    assert "GSH-E101" in seen["refused"]
    assert seen["objects"] == 3, "the refused file added nothing"
    for name, place in seen["wheels"].items():
        assert os.fspath(blender.resources) in place, f"{name} comes from {place}, not from the zip"
    assert seen["codecs"] == ["raw", "lz4", "jpeg"], "frames of a remote backend can be read"
    assert seen["alpha"]
    check_usd(tmp_path, seen["frames"])


def check_usd(folder: Path, frames: dict[str, dict[str, list[float]]]) -> None:
    """What usd-core reads back is what the add-on saw: splats, skeleton and camera, in Blender's axes."""
    avatar = load_avatar(folder / "Ada.gshead")
    stage = Usd.Stage.Open(str(folder / "baked.usdc"))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    splats = next(p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat")
    cameras = [p for p in stage.Traverse() if p.IsA(UsdGeom.Camera)]
    assert len(cameras) == 1
    for frame, told in frames.items():
        time_code = Usd.TimeCode(float(frame))
        wanted = drive(avatar, HeadPose.from_vector(np.array(told["pose"]))).means
        matrix = np.reshape(told["matrix"], (4, 4))
        points = np.array(splats.GetAttribute("positions").Get(time_code))
        place = np.array(UsdGeom.Xformable(splats).ComputeLocalToWorldTransform(time_code)).T
        world = points @ place[:3, :3].T + place[:3, 3]
        np.testing.assert_allclose(world, wanted @ matrix[:3, :3].T + matrix[:3, 3], atol=1e-5)
    eye = np.array(UsdGeom.Xformable(cameras[0]).ComputeLocalToWorldTransform(Usd.TimeCode(1)))[3, :3]
    np.testing.assert_allclose(eye, [0, -0.8, 0], atol=1e-6)
    rigged = Usd.Stage.Open(str(folder / "rig.usda"))
    assert any(p.IsA(UsdSkel.Skeleton) for p in rigged.Traverse())
    assert any(p.IsA(UsdSkel.BlendShape) for p in rigged.Traverse())
