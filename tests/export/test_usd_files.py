"""USD: stopped exports, large ones, and the names of files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pxr
import pytest
from pxr import Usd

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import orbit_camera
from gshead_backend.errors import ArgumentError, Cancelled, ExportError
from gshead_backend.export.usd import export_usd
from gshead_backend.export.usd_read import import_usd
from gshead_backend.head import HeadPose


def test_a_stopped_or_impossible_export_leaves_the_old_file(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path
) -> None:
    path = tmp_path / "a.usdc"
    path.write_bytes(b"old")

    def stop(fraction: float, text: str) -> None:
        if fraction > 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        export_usd(path, avatar, poses, pxr=pxr, progress=stop)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.usdc"]
    for message, arguments in (
        ("end in", {"path": tmp_path / "a.fbx"}),
        ("at least one pose", {"poses": []}),
        ("2 values of camera", {"camera": [orbit_camera(0)] * 2}),
        ("transform must be", {"transform": np.eye(3)}),
        ("fps", {"fps": 0}),
        ("mode='video'", {"mode": "video"}),
    ):
        with pytest.raises(ArgumentError, match=message):
            export_usd(**({"path": path, "avatar": avatar, "poses": poses, "pxr": pxr} | arguments))
    with pytest.raises(ExportError, match="cannot be written"):
        export_usd(path / "b.usdc", avatar, poses, pxr=pxr)


def test_binary_files_are_saved_in_parts_without_losing_frames(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path
) -> None:
    many = (poses * 7)[:60]
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usdc", avatar, many, pxr=pxr)))
    prim = stage.GetPrimAtPath("/Avatar/Splats")
    assert prim.GetAttribute("positions").GetTimeSamples() == list(range(1, 61))
    for i in (0, 23, 24, 47, 48, 59):
        assert np.abs(np.array(prim.GetAttribute("positions").Get(1 + i)) - drive(avatar, many[i]).means).max() < 1e-6


@pytest.mark.parametrize(
    "stem", ["100% ä", "a[1]", "a@b", "x#<y>", "a:b", "-x", 'it\'s "q"', "a {b}", "$HOME `id`", "a.b", "a?b=c&d"]
)
@pytest.mark.parametrize(("ending", "mode"), [("usda", "baked"), ("usda", "clips"), ("usdz", "rig")])
def test_odd_names_of_files(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, stem: str, ending: str, mode: Any
) -> None:
    """Clips and textures are found beside the file, whatever it is called."""
    if os.name == "nt":
        pytest.skip("SKIPPED: Windows forbids most of these names")
    path = export_usd(tmp_path / f"{stem}.{ending}", avatar, poses[:2], pxr=pxr, mode=mode)
    stage = Usd.Stage.Open(str(path))
    assert len(stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positions").Get(2)) == len(avatar)
    assert stage.GetPrimAtPath("/Avatar/Material/Texture").GetAttribute("inputs:file").Get().resolvedPath
    (again,) = import_usd(path, pxr=pxr, heads=[avatar.head])
    assert len(again.avatar) == len(avatar)


def test_a_name_that_is_no_text_is_refused_by_name(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    if os.name == "nt" or sys.platform == "darwin":
        pytest.skip("SKIPPED: only Linux has such names")
    for mode in ("baked", "clips"):
        with pytest.raises(ExportError, match="not UTF-8"):
            export_usd(tmp_path / os.fsdecode(b"\xff.usda"), avatar, poses[:1], pxr=pxr, mode=mode)
    assert list(tmp_path.iterdir()) == []
