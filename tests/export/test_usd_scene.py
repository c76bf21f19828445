"""USD: lights and cameras as given, and the axes of the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import peers
import pxr
import pytest
from pxr import Gf, Usd, UsdGeom, UsdLux

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import Camera, look_at, orbit_camera
from gshead_backend.errors import ArgumentError
from gshead_backend.export.usd import export_usd
from gshead_backend.export.usd_look import Light
from gshead_backend.head import HeadPose


def test_lights_are_written_as_given(avatar: Avatar, tmp_path: Path) -> None:
    moved = np.eye(4)
    moved[:3, 3] = (1, 2, 3)
    lights = [
        Light(),
        Light("sphere", moved, (1, 0.5, 0.25), 40, 2, True, {"radius": 0.1}, (30, 0.5), "Key Light"),
        Light("rect", moved, size={"width": 2, "height": 1}, name="Key Light"),
    ]
    pose = HeadPose.neutral(avatar.head.expression_count)
    path = export_usd(tmp_path / "a.usda", avatar, [pose], pxr=pxr, lights=lights)
    assert peers.usd_errors(path) == []
    stage = Usd.Stage.Open(str(path))
    assert [p.GetName() for p in stage.GetPrimAtPath("/Lights").GetChildren()] == ["Light", "Key_Light", "Key_Light_1"]
    key = UsdLux.SphereLight(stage.GetPrimAtPath("/Lights/Key_Light"))
    assert (key.GetIntensityAttr().Get(), key.GetNormalizeAttr().Get()) == (40, True)
    assert np.allclose(key.GetColorAttr().Get(), (1, 0.5, 0.25))
    assert np.isclose(key.GetRadiusAttr().Get(), 0.1)
    assert key.GetExposureAttr().Get() == 2
    assert UsdLux.ShapingAPI(key.GetPrim()).GetShapingConeAngleAttr().Get() == 30
    world = UsdGeom.XformCache().GetLocalToWorldTransform(key.GetPrim())
    assert np.allclose(world.ExtractTranslation(), (1, 2, 3))
    assert UsdLux.RectLight(stage.GetPrimAtPath("/Lights/Key_Light_1")).GetWidthAttr().Get() == 2
    with pytest.raises(ArgumentError, match="'laser'"):
        export_usd(path, avatar, [pose], pxr=pxr, lights=[Light("laser")])  # type: ignore[arg-type]


def _project(stage: Usd.Stage, camera: Camera, time: float, points: np.ndarray) -> np.ndarray:
    """Pixels of world points by OpenUSD's own frustum."""
    frustum = UsdGeom.Camera(stage.GetPrimAtPath("/Camera")).GetCamera(time).frustum
    matrix = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
    ndc = np.array([matrix.Transform(Gf.Vec3d(*p.tolist())) for p in points])
    return np.stack([(ndc[:, 0] + 1) / 2 * camera.width, (1 - ndc[:, 1]) / 2 * camera.height], 1)


@pytest.mark.parametrize("orthographic", [False, True])
def test_cameras_see_what_ours_see(avatar: Avatar, poses: list[HeadPose], tmp_path: Path, orthographic: bool) -> None:
    points = drive(avatar, poses[0]).means.astype(np.float64)
    cameras = [
        Camera(
            640, 360,
            np.array([[900.0 + 20 * i, 0, 300 - 5 * i], [0, 870.0 + i, 210], [0, 0, 1]]),
            look_at(np.array([0.3 * i, 0.1, 1.5]), np.array([0, 0.02, 0])), 0.05, 30.0, orthographic,
        )
        for i in range(len(poses))
    ]  # fmt: skip
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr, camera=cameras)))
    for i, camera in enumerate(cameras):
        got = _project(stage, camera, 1 + i, points)
        assert np.abs(got - camera.project(points)[:, :2]).max() < 0.01, f"frame {1 + i}, pixels"


def test_cameras_may_be_plain_dictionaries(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    c = orbit_camera(30)
    plain = {"width": c.width, "height": c.height, "K": c.K.reshape(-1).tolist(), "viewmat": c.viewmat.tolist()}
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usda", avatar, poses, pxr=pxr, camera=[plain] * len(poses))))
    points = np.array([[0.1, 0.05, 0.02]])
    assert np.allclose(_project(stage, c, 1, points), c.project(points)[:, :2], atol=0.01)
    with pytest.raises(ArgumentError, match="no 'lens'"):
        export_usd(tmp_path / "b.usda", avatar, poses, pxr=pxr, camera={"lens": 50})
    with pytest.raises(ArgumentError, match="incomplete"):
        export_usd(tmp_path / "b.usda", avatar, poses, pxr=pxr, camera={"width": 50})


def test_a_z_up_world_places_the_head_by_its_transform(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    to_z_up = np.array([[1, 0, 0, 2], [0, 0, -1, 0.5], [0, 1, 0, 1], [0, 0, 0, 1.0]])
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usda", avatar, poses, pxr=pxr, transform=to_z_up, up_axis="Z")))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    for path in ("/Avatar/Splats", "/Avatar/Rig/Head"):
        world = UsdGeom.XformCache().GetLocalToWorldTransform(stage.GetPrimAtPath(path))
        assert np.allclose(np.array(world.Transform(Gf.Vec3d(0, 0.1, 0.2))), (to_z_up @ [0, 0.1, 0.2, 1])[:3])
