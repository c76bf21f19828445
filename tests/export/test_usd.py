"""USD: valid by OpenUSD's own validators, and what it plays equals what the project computes."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pxr
import pytest
from pxr import Ar, Sdf, Usd, UsdGeom, UsdShade, UsdSkel
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import save_avatar
from gshead_backend.avatar.drive import drive, drive_vertices
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import orbit_camera
from gshead_backend.cli import main
from gshead_backend.errors import ArgumentError
from gshead_backend.evaluation.standard_take import standard_take
from gshead_backend.export.ply import SH_C0
from gshead_backend.export.texture import texture_png
from gshead_backend.export.usd import export_usd
from gshead_backend.head import HeadModel, HeadPose, default_head

SH = "radiance:sphericalHarmonicsCoefficients"


def _quats(attribute: Any, time: Any) -> np.ndarray:
    return np.array([[q.GetReal(), *q.GetImaginary()] for q in attribute.Get(time)])


@pytest.mark.parametrize("ending", ["usda", "usdc", "usdz", "usd"])
def test_every_kind_of_file_is_valid_and_complete(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, ending: str
) -> None:
    path = export_usd(tmp_path / f"a.{ending}", avatar, poses, pxr=pxr, fps=25, start_frame=10, camera=orbit_camera(0))
    assert peers.usd_errors(path) == []
    stage = Usd.Stage.Open(str(path))
    assert stage.GetDefaultPrim().GetPath() == "/Avatar"
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (10, 10 + len(poses) - 1)
    assert stage.GetFramesPerSecond() == stage.GetTimeCodesPerSecond() == 25
    splats = stage.GetPrimAtPath("/Avatar/Splats")
    assert splats.GetPrimTypeInfo().GetSchemaTypeName() == "ParticleField3DGaussianSplat"
    definition = splats.GetPrimDefinition()
    for attribute in splats.GetAuthoredAttributes():
        if not attribute.GetName().startswith("primvars:gshead"):
            declared = definition.GetAttributeDefinition(attribute.GetName())
            assert attribute.GetTypeName() == declared.GetTypeName(), attribute.GetName()
            assert attribute.GetVariability() == declared.GetVariability(), attribute.GetName()
    del stage, splats
    gc.collect()
    beside = [] if ending == "usdz" else ["a_head.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, *beside]


def test_splats_play_as_they_are_driven(tiny_head: HeadModel, poses: list[HeadPose], tmp_path: Path) -> None:
    avatar = make_tiny_avatar(tiny_head, 120, dynamic=True)
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr)))
    prim = stage.GetPrimAtPath("/Avatar/Splats")
    get = prim.GetAttribute
    for i, pose in enumerate(poses):
        want, time = drive(avatar, pose), 1 + i
        assert np.abs(np.array(get("positions").Get(time)) - want.means).max() < 1e-6
        assert np.allclose(np.array(get("scales").Get(time)), want.scales, rtol=1e-5)
        dot = np.abs((_quats(get("orientations"), time) * want.quats).sum(1) / np.linalg.norm(want.quats, axis=1))
        assert dot.min() > 1 - 1e-6
        assert np.allclose(np.array(get("opacities").Get(time)), want.opacities, atol=1e-6)
        assert np.allclose(np.array(get(SH).Get(time)) * SH_C0 + 0.5, want.colors, atol=1e-5)
        low, high = np.array(get("extent").Get(time))
        assert (low < want.means.min(0)).all()
        assert (high > want.means.max(0)).all()
    assert get("radiance:sphericalHarmonicsDegree").Get() == 0
    assert get(SH).GetColorSpace() == "srgb_rec709_scene"
    assert (get(SH).GetMetadata("interpolation"), get(SH).GetMetadata("elementSize")) == ("vertex", 1)
    assert np.array_equal(get("positions").Get(), get("positions").Get(1)), "readers without a time see frame one"


def test_what_does_not_change_is_stored_once(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usda", avatar, poses, pxr=pxr, camera=orbit_camera(20))))
    prim = stage.GetPrimAtPath("/Avatar/Splats")
    for name in ("opacities", SH):
        assert prim.GetAttribute(name).GetNumTimeSamples() == 0
        assert prim.GetAttribute(name).Get() is not None
    camera = stage.GetPrimAtPath("/Camera")
    assert all(a.GetNumTimeSamples() == 0 for a in camera.GetAuthoredAttributes())


@pytest.mark.parametrize("correctives", [False, True])
def test_the_rig_deforms_as_the_head_does(
    tiny_head: HeadModel, poses: list[HeadPose], tmp_path: Path, correctives: bool
) -> None:
    head = tiny_head
    if correctives:
        rng = np.random.default_rng(5)
        dirs = (rng.normal(size=(head.vertex_count, 3, 36)) * 2e-3).astype(np.float32)
        head = replace(head, pose_correctives=dirs)
    avatar = make_tiny_avatar(head, 20)
    path = export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr, mode="rig")
    stage = Usd.Stage.Open(str(path))
    assert UsdSkel.BakeSkinning(stage.Traverse())
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Avatar/Rig/Head"))
    for i, pose in enumerate(poses):
        points = np.array(mesh.GetPointsAttr().Get(1 + i))
        error = np.linalg.norm(points - avatar.personal.vertices(pose), axis=1).max()
        assert error < 5e-6, f"pose {i}: {error * 1000:.4f} mm"


def test_the_default_heads_rig_plays_the_standard_take_to_a_tenth_of_a_millimetre(tmp_path: Path) -> None:
    head, (take, _) = default_head(), standard_take()
    avatar = make_tiny_avatar(head, 20)
    poses = [take.pose(head, f) for f in take.frames]
    path = export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr, mode="rig", texture=False)
    stage = Usd.Stage.Open(str(path))
    assert UsdSkel.BakeSkinning(stage.Traverse())
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Avatar/Rig/Head"))
    for i, pose in enumerate(poses):
        points = np.array(mesh.GetPointsAttr().Get(1 + i))
        assert np.linalg.norm(points - avatar.personal.vertices(pose), axis=1).max() < 1e-5, f"pose {i}"


def _carried(stage: Usd.Stage, avatar: Avatar, points: np.ndarray, time: float) -> dict[str, np.ndarray]:
    """What a tool makes of a rig file: splats on skinned ``points``, by docs/export.md and the file's numbers alone."""
    primvar = UsdGeom.PrimvarsAPI(stage.GetPrimAtPath("/Avatar/Splats")).GetPrimvar
    read = lambda name: np.array(primvar(f"gshead:{name}").GetAttr().Get(time))  # noqa: E731
    index, code = read("dynamic:index"), read("dynamic:code")
    change = read("dynamic:basis").reshape(len(index), 14, -1) @ code
    rotation = _quats(primvar("gshead:rotation").GetAttr(), time)
    parts = {"offset": read("offset"), "rotation": rotation, "log_scale": read("logScale")}
    parts |= {"opacity_logit": read("opacityLogit")[:, None], "color": read("color")}
    ends = np.cumsum([0, 3, 4, 3, 1, 3])
    for i, name in enumerate(parts):
        parts[name] = parts[name].astype(np.float32)
        parts[name][index] += change[:, ends[i] : ends[i + 1]]
    still = replace(avatar, dynamic=None, **{k: v[:, 0] if k == "opacity_logit" else v for k, v in parts.items()})
    return vars(drive_vertices(still, points))


def test_the_rig_carries_the_residual_through_the_standard_take(tmp_path: Path) -> None:
    """Positions to 0.01 mm, the skinning's own exactness; looks to what single precision holds."""
    head, (take, _) = default_head(), standard_take()
    avatar = make_tiny_avatar(head, 200, dynamic=True)
    poses = [take.pose(head, f) for f in take.frames]
    path = export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr, mode="rig", texture=False)
    stage = Usd.Stage.Open(str(path))
    assert UsdSkel.BakeSkinning(stage.Traverse())
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Avatar/Rig/Head"))
    moved = 0.0
    for i, pose in enumerate(poses):
        got, want = _carried(stage, avatar, np.array(mesh.GetPointsAttr().Get(1 + i)), 1 + i), drive(avatar, pose)
        assert np.linalg.norm(got["means"] - want.means, axis=1).max() < 1e-5, f"pose {i}"
        for name in ("scales", "opacities", "colors"):
            assert np.allclose(got[name], getattr(want, name), rtol=1e-4, atol=1e-5), f"pose {i}: {name}"
        neutral = drive_vertices(avatar, avatar.personal.vertices(pose)).means
        moved = max(moved, float(np.linalg.norm(neutral - want.means, axis=1).max()))
    assert moved > 5e-4, "the residual is what is tested here"
    still = Usd.Stage.Open(str(export_usd(tmp_path / "b.usdc", avatar, poses[:1], pxr=pxr, mode="rig", texture=False)))
    code = UsdGeom.PrimvarsAPI(still.GetPrimAtPath("/Avatar/Splats")).GetPrimvar("gshead:dynamic:code")
    assert code.GetAttr().GetNumTimeSamples() == 0
    assert len(code.Get()) == len(avatar.dynamic.bias)


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_command_says_what_a_rig_file_asks_of_its_reader(
    tiny_head: HeadModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], dynamic: bool
) -> None:
    save_avatar(make_tiny_avatar(tiny_head, 60, dynamic=dynamic), tmp_path / "a.gshead")
    assert main(["export", str(tmp_path / "a.gshead"), "-o", str(tmp_path / "a.usdc"), "--mode", "rig"]) == 0
    assert ("primvars:gshead:dynamic" in capsys.readouterr().err) == dynamic


@pytest.mark.parametrize("mode", ["baked", "rig"])
def test_frames_deformed_by_more_than_the_pose_play_as_deformed(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, mode: Any
) -> None:
    bent: list[np.ndarray | None] = [None] * len(poses)
    for i in (2, 5, 7):
        vertices = avatar.personal.vertices(poses[i])
        bent[i] = vertices + 0.02 * np.sin(30 * vertices[:, [1, 2, 0]]).astype(np.float32)
    path = export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr, mode=mode, vertices=bent)
    assert peers.usd_errors(path) == []
    stage = Usd.Stage.Open(str(path))
    splats = stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positions")
    assert UsdSkel.BakeSkinning(stage.Traverse())
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Avatar/Rig/Head")).GetPointsAttr()
    for i, pose in enumerate(poses):
        given = bent[i]
        want = avatar.personal.vertices(pose) if given is None else given
        assert np.linalg.norm(np.array(points.Get(1 + i)) - want, axis=1).max() < 1e-5, f"pose {i}"
        if mode == "baked":
            assert np.abs(np.array(splats.Get(1 + i)) - drive_vertices(avatar, want, pose).means).max() < 1e-6
    with pytest.raises(ArgumentError, match=r"got shape \(3, 3\)"):
        export_usd(path, avatar, poses[:1], pxr=pxr, vertices=[np.zeros((3, 3))])


def test_the_extent_of_the_rig_holds_every_vertex(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr)))
    extent = UsdGeom.Boundable(stage.GetPrimAtPath("/Avatar/Rig")).GetExtentAttr()
    for i, pose in enumerate(poses):
        vertices = avatar.personal.vertices(pose)
        assert np.allclose(np.array(extent.Get(1 + i)), [vertices.min(0), vertices.max(0)], atol=1e-6)


def test_blend_shapes_and_uvs_carry_the_heads_names_and_map(avatar: Avatar, tmp_path: Path) -> None:
    pose = HeadPose.neutral(avatar.head.expression_count)
    stage = Usd.Stage.Open(str(export_usd(tmp_path / "a.usda", avatar, [pose], pxr=pxr)))
    mesh = stage.GetPrimAtPath("/Avatar/Rig/Head")
    binding = UsdSkel.BindingAPI(mesh)
    assert list(binding.GetBlendShapesAttr().Get()) == list(avatar.head.expression_names)
    assert len(binding.GetBlendShapeTargetsRel().GetTargets()) == avatar.head.expression_count
    st = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").ComputeFlattened()
    assert np.allclose(np.array(st), avatar.head.uv[avatar.head.uv_faces.reshape(-1)])
    joints = UsdSkel.Skeleton(stage.GetPrimAtPath("/Avatar/Rig/Skeleton")).GetJointsAttr().Get()
    assert list(joints) == ["root", "root/neck", "root/neck/jaw", "root/neck/leftEye", "root/neck/rightEye"]
    assert UsdGeom.Imageable(mesh).GetPurposeAttr().Get() == "guide"
    assert not stage.HasAuthoredTimeCodeRange(), "a single pose is a still"


def test_the_rig_version_is_small_and_can_be_driven_by_its_binding(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path
) -> None:
    many = poses * 10
    rig = export_usd(tmp_path / "rig.usdc", avatar, many, pxr=pxr, mode="rig")
    still = export_usd(tmp_path / "still.usdc", avatar, many[:1], pxr=pxr, mode="rig")
    assert (rig.stat().st_size - still.stat().st_size) / len(many) < 1000, "bytes a frame"
    stage = Usd.Stage.Open(str(rig))
    prim = stage.GetPrimAtPath("/Avatar/Splats")
    primvar = UsdGeom.PrimvarsAPI(prim).GetPrimvar
    two = np.array(primvar("gshead:barycentric").Get())
    back = replace(
        avatar,
        triangle=np.array(primvar("gshead:triangle").Get(), np.int32),
        bary=np.column_stack([two, 1 - two.sum(1)]).astype(np.float32),
        offset=np.array(primvar("gshead:offset").Get(), np.float32),
        rotation=_quats(primvar("gshead:rotation"), Usd.TimeCode.Default()).astype(np.float32),
        log_scale=np.array(primvar("gshead:logScale").Get(), np.float32),
        region=np.array(primvar("gshead:region").Get(), np.uint8),
    )
    got, want = drive(back, poses[4]), drive(avatar, poses[4])
    assert np.abs(got.means - want.means).max() < 1e-6
    assert np.array_equal(back.region, avatar.region)


def test_half_precision_halves_the_samples(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    path = export_usd(tmp_path / "half.usdc", avatar, poses, pxr=pxr, precision="half")
    assert peers.usd_errors(path) == []
    stage = Usd.Stage.Open(str(path))
    prim = stage.GetPrimAtPath("/Avatar/Splats")
    assert prim.GetAttribute("positionsh").GetTypeName() == Sdf.ValueTypeNames.Point3hArray
    assert not prim.GetAttribute("positions").HasAuthoredValue()
    want = drive(avatar, poses[2])
    error = np.abs(np.array(prim.GetAttribute("positionsh").Get(3)) - want.means)
    assert error[np.abs(want.means) < 0.25].max() < 6.2e-5
    assert error.max() < 1.23e-4
    assert (np.array(prim.GetAttribute("scalesh").Get(3)) > 0).all()


@pytest.mark.parametrize("ending", ["usdc", "usdz"])
def test_the_mesh_wears_the_texture_baked_from_the_splats(avatar: Avatar, tmp_path: Path, ending: str) -> None:
    pose = HeadPose.neutral(avatar.head.expression_count)
    path = export_usd(tmp_path / f"a.{ending}", avatar, [pose], pxr=pxr)
    stage = Usd.Stage.Open(str(path))
    material = UsdShade.MaterialBindingAPI(stage.GetPrimAtPath("/Avatar/Rig/Head")).ComputeBoundMaterial()[0]
    surface = material.ComputeSurfaceSource()[0]
    image = UsdShade.Shader(surface.GetInput("diffuseColor").GetConnectedSources()[0][0].source.GetPrim())
    assert image.GetInput("sourceColorSpace").Get() == "sRGB"
    resolved = image.GetInput("file").Get().resolvedPath
    data = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(resolved)).GetBuffer()
    assert bytes(data) == texture_png(avatar)
    bare = export_usd(tmp_path / "bare.usda", avatar, [pose], pxr=pxr, texture=False)
    assert not Usd.Stage.Open(str(bare)).GetPrimAtPath("/Avatar/Material")
    assert not (tmp_path / "bare_head.png").exists()
