"""Other programs read what we write, and find the same numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pxr
import pytest
from pxr import Usd
from readers import Glb, read_ply, read_spz
from three_splats import RDF, Read, assert_same, three_splats
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.take import demo_take
from gshead_backend.avatar.types import Avatar
from gshead_backend.export.gltf import export_glb
from gshead_backend.export.ply import SH_C0, export_ply
from gshead_backend.export.spz import export_spz
from gshead_backend.export.usd import export_usd
from gshead_backend.head import HeadModel, HeadPose

# splat-transform turns a PLY (y down) upright by half a turn about z, its viewers' rule.
PLAYCANVAS = np.diag([-1.0, -1.0, 1.0])
SPZ_ERROR = {"place": 2e-6, "shape": 0.14, "opacity": 0.003, "color": 0.005}


@pytest.fixture
def avatar(tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, 150)


@pytest.fixture
def poses(avatar: Avatar) -> list[HeadPose]:
    take = demo_take()
    return [take.pose(avatar.head, f) for f in (1, 15, 30)]


def read_usd(path: Path, prim: str, time: Any = None) -> Read:
    stage = Usd.Stage.Open(str(path))
    get = stage.GetPrimAtPath(prim).GetAttribute if prim else next(
        p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat"
    ).GetAttribute  # fmt: skip
    at = Usd.TimeCode.Default() if time is None else time
    quats = np.array([[q.GetReal(), *q.GetImaginary()] for q in get("orientations").Get(at)])
    color = np.array(get("radiance:sphericalHarmonicsCoefficients").Get(at)) * SH_C0 + 0.5
    return Read(
        np.array(get("positions").Get(at)), quats, np.array(get("scales").Get(at)),
        np.array(get("opacities").Get(at)), color,
    )  # fmt: skip


def test_splat_transform_reads_ply_and_spz_alike(tmp_path: Path) -> None:
    three = three_splats()
    export_ply(tmp_path / "a.ply", three)
    export_spz(tmp_path / "a.spz", three)
    peers.splat_transform(tmp_path / "a.ply", tmp_path / "from_ply.ply")
    peers.splat_transform(tmp_path / "a.spz", tmp_path / "from_spz.ply")
    assert_same(read_ply(tmp_path / "from_ply.ply"), three, turn=RDF)
    assert_same(read_ply(tmp_path / "from_spz.ply"), three, turn=RDF, **SPZ_ERROR)


def test_splat_transforms_own_spz_equals_ours(tmp_path: Path) -> None:
    export_ply(tmp_path / "a.ply", three_splats())
    peers.splat_transform(tmp_path / "a.ply", tmp_path / "theirs.spz", "--spz-version", "3")
    export_spz(tmp_path / "ours.spz", three_splats())
    ours, theirs = read_spz(tmp_path / "ours.spz"), read_spz(tmp_path / "theirs.spz")
    assert np.abs(ours.means - theirs.means).max() < 2**-12, "theirs has 12 fractional bits"
    assert np.array_equal(ours.scales, theirs.scales)
    assert np.array_equal(ours.opacities, theirs.opacities)
    assert np.array_equal(ours.colors, theirs.colors)
    assert np.allclose(ours.covariances, theirs.covariances, rtol=0, atol=1e-7)


def test_splat_transforms_glb_of_our_ply_equals_our_glb(avatar: Avatar, tmp_path: Path) -> None:
    three = three_splats()
    export_ply(tmp_path / "a.ply", three)
    peers.splat_transform(tmp_path / "a.ply", tmp_path / "theirs.glb")
    export_glb(tmp_path / "ours.glb", avatar, splats=three, with_mesh=False)
    ours, theirs = Glb(tmp_path / "ours.glb"), Glb(tmp_path / "theirs.glb")
    assert_same(ours.splats(), three)
    assert_same(theirs.splats(), three, turn=PLAYCANVAS @ RDF)
    mine, other = (g.json["meshes"][0]["primitives"][0] for g in (ours, theirs))
    assert mine["extensions"] == other["extensions"]
    assert set(mine["attributes"]) == set(other["attributes"])
    assert np.array_equal(ours.accessor(mine["attributes"]["COLOR_0"]), theirs.accessor(other["attributes"]["COLOR_0"]))


def test_usd_convert_gsplats_usd_of_our_ply_equals_our_usd(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path
) -> None:
    folder = peers.python_package("usd-convert-gsplat")
    export_usd(tmp_path / "ours.usdc", avatar, poses, pxr=pxr, texture=False)
    for i, pose in enumerate(poses):
        export_ply(tmp_path / f"{i}.ply", drive(avatar, pose), axes="head")
        arguments = ["-i", str(tmp_path / f"{i}.ply"), "-o", str(tmp_path / f"{i}.usdc")]
        peers.run([sys.executable, "-m", "usd_convert_gsplat", *arguments], paths=(folder,))
        ours, theirs = read_usd(tmp_path / "ours.usdc", "/Avatar/Splats", 1 + i), read_usd(tmp_path / f"{i}.usdc", "")
        assert np.abs(ours.means - theirs.means).max() < 1e-6
        assert np.abs(np.abs((ours.quats * theirs.quats).sum(1)) - 1).max() < 1e-6
        assert np.allclose(ours.scales, theirs.scales, rtol=1e-5)
        assert np.allclose(ours.opacities, theirs.opacities, atol=1e-5)
        assert np.allclose(ours.colors, theirs.colors, atol=1e-6)


def test_usd_convert_gsplat_reads_our_spz(tmp_path: Path) -> None:
    folder = peers.python_package("usd-convert-gsplat")
    export_spz(tmp_path / "a.spz", three_splats())
    arguments = ["-i", str(tmp_path / "a.spz"), "-o", str(tmp_path / "a.usda")]
    peers.run([sys.executable, "-m", "usd_convert_gsplat", *arguments], paths=(folder,))
    assert_same(read_usd(tmp_path / "a.usda", ""), three_splats(), **SPZ_ERROR)


@pytest.mark.parametrize("mode", ["baked", "clips", "rig"])
def test_nvidias_splat_rule_passes_at_every_time_sample(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, mode: Any
) -> None:
    folder = peers.python_package("usd-validation-nvidia")
    path = export_usd(tmp_path / "a.usda", avatar, poses, pxr=pxr, mode=mode, chunk=2, texture=False)
    stage = Usd.Stage.Open(str(path))
    prim = stage.GetPrimAtPath("/Avatar/Splats")
    files = [str(path)]
    for time in prim.GetAttribute("positions").GetTimeSamples():  # the rule looks at default values only
        still = Usd.Stage.CreateNew(str(tmp_path / f"at{time:g}.usda"))
        still.GetRootLayer().TransferContent(Usd.Stage.Open(str(path)).Flatten())
        for attribute in still.GetPrimAtPath("/Avatar/Splats").GetAttributes():
            if attribute.GetNumTimeSamples():
                attribute.Set(attribute.Get(time))
        still.GetRootLayer().Save()
        files.append(still.GetRootLayer().realPath)
    assert len(files) == (1 if mode == "rig" else 4)
    script = (
        "import sys; sys.path.append(sys.argv[1]); import usd_validation_nvidia as n\n"
        "engine = n.ValidationEngine(init_rules=False); engine.enable_rule(n.GaussianSplatSchemaChecker)\n"
        "for path in sys.argv[2:]:\n"
        "    for issue in engine.validate(path).issues(): print(path, issue.severity, issue.message)"
    )
    assert peers.run([sys.executable, "-c", script, str(folder), *files]) == ""
    broken = Usd.Stage.Open(files[-1])
    broken.GetPrimAtPath("/Avatar/Splats").GetAttribute("opacities").Set([2.0] * len(avatar))
    broken.GetRootLayer().Export(str(tmp_path / "broken.usda"))
    assert "expected range" in peers.run([sys.executable, "-c", script, str(folder), str(tmp_path / "broken.usda")])


@pytest.mark.parametrize("morphs", ["arkit", "rig"])
def test_the_gltf_validator_finds_nothing_but_the_extension_it_does_not_know(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, morphs: Any
) -> None:
    export_glb(tmp_path / "a.glb", avatar, poses, morphs=morphs)
    issues = peers.gltf_issues(tmp_path / "a.glb")
    assert any(issue["code"] == "UNSUPPORTED_EXTENSION" for issue in issues)
    unknown = [i for i in issues if "KHR_gaussian_splatting" in i["message"] + i["pointer"]]
    assert [i for i in issues if i not in unknown] == []
    export_glb(tmp_path / "mesh.glb", avatar, poses, morphs=morphs, with_splats=False)
    assert peers.gltf_issues(tmp_path / "mesh.glb") == []
