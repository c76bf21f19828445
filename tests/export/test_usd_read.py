"""USD back into an avatar and its animation; what is foreign, broken or hostile is refused with the reason."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pxr
import pytest
from pxr import Sdf, Usd
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.take import demo_take
from gshead_backend.avatar.types import Avatar
from gshead_backend.errors import FileFormatError, HeadError
from gshead_backend.export.usd import export_usd
from gshead_backend.export.usd_read import import_usd
from gshead_backend.head import HeadModel, HeadPose

SPLATS = "/Avatar/Splats"


@pytest.fixture
def avatar(tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, 80, dynamic=True)


@pytest.fixture
def poses(avatar: Avatar) -> list[HeadPose]:
    rng = np.random.default_rng(2)
    take = demo_take()
    wild = [HeadPose.from_vector(rng.normal(size=avatar.head.expression_count + 18) * 0.2) for _ in range(2)]
    return [take.pose(avatar.head, f) for f in (5, 25, 40)] + wild


def read(path: Path, avatar: Avatar) -> Any:
    (head,) = import_usd(path, pxr=pxr, heads=[avatar.head])
    return head


@pytest.mark.parametrize(("mode", "ending"), [("rig", "usda"), ("rig", "usdz"), ("baked", "usdc"), ("clips", "usd")])
def test_the_same_avatar_and_animation_come_back(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, mode: Any, ending: str
) -> None:
    turn = np.array([[1, 0, 0, 2], [0, 0, -1, 0.5], [0, 1, 0, 1], [0, 0, 0, 1.0]])
    path = export_usd(
        tmp_path / f"a.{ending}", avatar, poses, pxr=pxr, mode=mode, start_frame=7, fps=30, transform=turn, up_axis="Z",
        precision="half",
    )  # fmt: skip
    got = read(path, avatar)
    assert (got.path, got.fps, got.up_axis) == (SPLATS, 30, "Z")
    for field in fields(Avatar):
        if field.init and field.name not in ("head", "dynamic", "bary", "rotation"):
            assert np.array_equal(getattr(got.avatar, field.name), getattr(avatar, field.name)), field.name
    for name in ("bary", "rotation"):
        assert np.allclose(getattr(got.avatar, name), getattr(avatar, name), atol=1e-6), name
    assert got.times == [7, 8, 9, 10, 11]
    assert all(np.allclose(m, turn) for m in got.matrices)
    for mine, theirs in zip(poses, got.poses, strict=True):
        assert np.abs(drive(avatar, mine).means - drive(got.avatar, theirs).means).max() < 2e-6


def test_a_still_without_its_rig_is_an_avatar_at_rest(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    path = export_usd(tmp_path / "a.usda", avatar, poses[:1], pxr=pxr, texture=False)
    stage = Usd.Stage.Open(str(path))
    stage.RemovePrim("/Avatar/Rig")
    stage.GetRootLayer().Save()
    got = read(path, avatar)
    assert (got.times, got.poses) == ([], [])
    assert np.array_equal(got.matrices, [np.eye(4)])
    assert len(got.avatar) == len(avatar)


def test_every_head_of_a_file_is_read(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    a = Sdf.Layer.FindOrOpen(str(export_usd(tmp_path / "a.usda", avatar, poses[:1], pxr=pxr, texture=False)))
    both = Sdf.Layer.CreateNew(str(tmp_path / "both.usda"))
    Sdf.CopySpec(a, "/Avatar", both, "/Avatar")
    Sdf.CopySpec(a, "/Avatar", both, "/Other")
    both.Save()
    assert [h.path for h in import_usd(tmp_path / "both.usda", pxr=pxr, heads=[avatar.head])] == [
        SPLATS,
        "/Other/Splats",
    ]


def test_foreign_files_are_refused_with_the_reason(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    foreign = Usd.Stage.CreateNew(str(tmp_path / "foreign.usda"))
    foreign.DefinePrim(SPLATS, "ParticleField3DGaussianSplat")
    foreign.GetRootLayer().Save()
    (tmp_path / "text.usda").write_text("hello")
    (tmp_path / "noise.usdc").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "cut.usdc").write_bytes(
        export_usd(tmp_path / "a.usdc", avatar, poses, pxr=pxr, texture=False).read_bytes()[:5000]
    )
    for name, why in (
        ("foreign.usda", "holds no head of gshead"), ("text.usda", "not a USD file"), ("noise.usdc", "not a USD file"),
        ("picture.png", "not a USD file"), ("cut.usdc", "USD file"), ("missing.usdc", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(FileFormatError, match=why):
            import_usd(tmp_path / name, pxr=pxr)
    with pytest.raises(HeadError, match="No installed head"):
        import_usd(tmp_path / "a.usdc", pxr=pxr)


def test_nothing_that_a_file_refers_to_is_opened(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    export_usd(tmp_path / "secret.usda", avatar, poses[:1], pxr=pxr, texture=False)
    (tmp_path / "a.usda").write_text("#usda 1.0\n(\n    subLayers = [@./secret.usda@]\n)\n")
    (tmp_path / "b.usda").write_text('#usda 1.0\ndef "Avatar" (references = @/etc/passwd@) {}\n')
    for name in ("a.usda", "b.usda"):
        with pytest.raises(FileFormatError, match="put together from other files"):
            import_usd(tmp_path / name, pxr=pxr, heads=[avatar.head])


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("schemaVersion", 2, "schema version 2"),
        ("triangle", [10**9] * 80, "triangle"),
        ("triangle", [0] * 79, "must have shape"),
        ("offset", [(float("nan"), 0, 0)] * 80, "NaN"),
        ("color", [(1e30, 0, 0)] * 80, "color"),
        ("betas", [0.0], "betas"),
        ("provenance", "[" * 5000, "provenance"),
        ("provenance", "[]", "provenance"),
        ("regionNames", "skin,hair", "regions"),
        ("dynamic:bias", [0.0] * 300, "dynamic:bias"),
        ("dynamic:basis", [0.0] * 3, "dynamic:basis"),
        ("dynamic:bias", [], "no components"),
        ("name", None, "name"),
        ("rotation", None, "rotation"),
    ],
)
def test_hostile_values_are_refused(
    avatar: Avatar, poses: list[HeadPose], tmp_path: Path, name: str, value: Any, why: str
) -> None:
    path = export_usd(tmp_path / "a.usda", avatar, poses[:2], pxr=pxr, texture=False)
    stage = Usd.Stage.Open(str(path))
    attribute = stage.GetPrimAtPath(SPLATS).GetAttribute(f"primvars:gshead:{name}")
    attribute.Clear() if value is None else attribute.Set(value)
    stage.GetRootLayer().Save()
    with pytest.raises(FileFormatError, match=why):
        import_usd(path, pxr=pxr, heads=[avatar.head])


@pytest.mark.parametrize("ending", ["usda", "usdc"])
def test_damaged_bytes_are_read_or_refused(avatar: Avatar, poses: list[HeadPose], tmp_path: Path, ending: str) -> None:
    whole = export_usd(tmp_path / f"a.{ending}", avatar, poses[:2], pxr=pxr, texture=False).read_bytes()
    rng, refused = np.random.default_rng(8), 0
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.choice([1, 3, 20])):
            data[at] = rng.integers(0, 256)
        (tmp_path / f"b.{ending}").write_bytes(data)
        try:
            import_usd(tmp_path / f"b.{ending}", pxr=pxr, heads=[avatar.head])
        except (FileFormatError, HeadError):
            refused += 1
    assert refused > 5


def test_wrong_types_and_broken_animation_are_refused(avatar: Avatar, poses: list[HeadPose], tmp_path: Path) -> None:
    path = export_usd(tmp_path / "a.usda", avatar, poses[:2], pxr=pxr, texture=False)
    text = path.read_text()
    for before, after in (
        ("int[] primvars:gshead:triangle = [", 'string primvars:gshead:triangle = "'),
        ("int primvars:gshead:schemaVersion = 1", 'string primvars:gshead:schemaVersion = "1"'),
    ):
        changed = text.replace(before, after)
        if after.endswith('"') and "triangle" in after:
            head, tail = changed.split(after, 1)
            changed = head + after + tail.split("]", 1)[0] + '"' + tail.split("]", 1)[1]
        (tmp_path / "b.usda").write_text(changed)
        with pytest.raises(FileFormatError):
            import_usd(tmp_path / "b.usda", pxr=pxr, heads=[avatar.head])
    stage = Usd.Stage.Open(str(path))
    stage.GetPrimAtPath("/Avatar/Rig/Skeleton/Animation").GetAttribute("rotations").Clear()
    stage.GetRootLayer().Export(str(tmp_path / "c.usda"))
    with pytest.raises(FileFormatError, match=r"c\.usda"):
        import_usd(tmp_path / "c.usda", pxr=pxr, heads=[avatar.head])
