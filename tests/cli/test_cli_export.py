"""``gshead export`` and ``import`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pxr import Usd
from run_cli import TAKE, gshead
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import load_avatar, save_avatar


def test_export_usd_and_ply(avatar_file: Path, tmp_path: Path) -> None:
    done = gshead("export", avatar_file, "-o", tmp_path / "a.usdc", "--take", TAKE, "--frames", "10-14", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["frames"], result["splats"]) == (5, 800)
    assert result["files"] == [str(tmp_path / "a.usdc"), str(tmp_path / "a_head.png")]
    assert result["bytes"] == sum(Path(f).stat().st_size for f in result["files"])
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (10, 14)
    assert stage.GetPrimAtPath("/Camera")
    done = gshead("export", avatar_file, "-o", tmp_path / "a.ply", "--take", TAKE, "--frames", "35")
    assert done.returncode == 0, done.stderr
    assert b"element vertex 800" in (tmp_path / "a.ply").read_bytes()[:200]
    for out in ("b.usdc", "b.glb"):
        done = gshead("export", avatar_file, "-o", tmp_path / out, "--take", TAKE, "--frames", "1-48:2")
        assert (done.returncode, (tmp_path / out).exists()) == (2, False)
        assert "--frames" in done.stderr


def test_export_glb_and_numbered_files(avatar_file: Path, tmp_path: Path) -> None:
    arguments = ("--take", TAKE, "--frames", "8-10")
    done = gshead("export", avatar_file, "-o", tmp_path / "a.glb", "--content", "splats", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.glb").read_bytes()[:4] == b"glTF"
    for ending in ("ply", "spz"):
        done = gshead("export", avatar_file, "-o", tmp_path / f"n.{ending}", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"] == [str(tmp_path / f"n.{i:04d}.{ending}") for i in (8, 9, 10)]
    assert sorted(p.name for p in tmp_path.glob("n.*")) == sorted(
        f"n.{i:04d}.{e}" for i in (8, 9, 10) for e in ("ply", "spz")
    )


def test_tasks_export_the_parts_of_clips_one_by_one(avatar_file: Path, tmp_path: Path) -> None:
    arguments = ("--take", TAKE, "--frames", "1-20", "--mode", "clips", "--chunk", "8", "--half")
    for part in ("17-20", "root", "1-8", "9-16"):
        done = gshead("export", avatar_file, "-o", tmp_path / "s.usda", *arguments, "--part", part)
        assert done.returncode == 0, done.stderr
    stage = Usd.Stage.Open(str(tmp_path / "s.usda"))
    positions = stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positionsh")
    assert positions.GetTimeSamples() == list(range(1, 21))
    assert len(positions.Get(12)) == 800
    wrong = gshead("export", avatar_file, "-o", tmp_path / "s.usda", *arguments, "--part", "9-17")
    assert wrong.returncode == 2
    assert "root, 1-8, 9-16, 17-20" in wrong.stderr
    wrong = gshead("export", avatar_file, "-o", tmp_path / "s.usda", "--part", "root")
    assert (wrong.returncode, "--mode clips" in wrong.stderr) == (2, True)


def test_usd_comes_back_as_avatar_and_take(tmp_path: Path) -> None:
    from gshead_backend.avatar import load_take
    from gshead_backend.head import default_head

    avatar = make_tiny_avatar(default_head(), 300)
    save_avatar(avatar, tmp_path / "a.gshead")
    done = gshead("export", tmp_path / "a.gshead", "-o", tmp_path / "a.usdz", "--take", TAKE, "--mode", "rig")
    assert done.returncode == 0, done.stderr
    back = gshead(
        "import-usd", tmp_path / "a.usdz", "-o", tmp_path / "b.gshead", "--take", tmp_path / "b.json", "--json"
    )
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["frames"] == 48
    got, want = load_avatar(tmp_path / "b.gshead"), load_avatar(tmp_path / "a.gshead")
    assert np.array_equal(got.offset, want.offset)
    assert (got.name, got.provenance) == (want.name, want.provenance)
    mine, theirs = load_take(TAKE), load_take(tmp_path / "b.json")
    for frame in (1, 15, 25, 40):
        vertices = [got.personal.vertices(take.pose(got.head, frame)) for take in (mine, theirs)]
        assert np.abs(vertices[0] - vertices[1]).max() < 2e-4, f"frame {frame}"
    (tmp_path / "c.usda").write_text("#usda 1.0\n")
    foreign = gshead("import-usd", tmp_path / "c.usda", "-o", tmp_path / "c.gshead")
    assert (foreign.returncode, (tmp_path / "c.gshead").exists()) == (3, False)
    assert "no head of gshead" in foreign.stderr
