"""The whole job on a real photograph through the installed extension and a real backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import ROOT, Blender
from pxr import Usd, UsdSkel
from test_render import read_exr

from gshead_backend.portrait.assets import missing_assets


@pytest.mark.timeout(600)
def test_a_portrait_becomes_a_rendered_animated_exported_head(blender: Blender, tmp_path: Path) -> None:
    if missing_assets():
        pytest.skip(f"SKIPPED: the portrait networks are not installed: {', '.join(missing_assets())}")
    seen = blender.run(
        "main_job", timeout=550, out=str(tmp_path), portrait=str(ROOT / "samples" / "astronaut.png"),
        take=str(ROOT / "samples" / "take_demo.json"), kill=blender.version == "5.0",
    )  # fmt: skip
    assert "GSH-E301" in seen["refused"]
    assert "no head model 'nobody'; installed are: gshead-default, twin" in seen["unknown"]
    assert seen["models"] == ["gshead-default", "twin"]
    assert seen["made_on"] == "twin"
    if blender.version == "5.0":
        assert "GSH-E60" in seen["killed"]
        assert seen["took"] < 1.0
    assert seen["empty"] == 0, "what failed left nothing in the scene"
    assert seen["splats"] > 10_000
    pictures = [read_exr(tmp_path / f"first_{frame}.exr") for frame in seen["frames"]]
    for frame, (rgba, depth) in zip(seen["frames"], pictures, strict=True):
        again = read_exr(tmp_path / f"again_{frame}.exr")
        np.testing.assert_array_equal(rgba, again[0], err_msg="the reopened file renders the same pixels")
        np.testing.assert_array_equal(depth, again[1])
        covered = rgba[..., 3] > 0.5
        assert 0.15 < covered.mean() < 0.9, "a head fills a fair part of the picture"
        assert 0.7 < np.median(depth[covered]) < 1.3
    assert np.abs(pictures[0][0] - pictures[1][0]).mean() > 0.01, "the head turns"
    stage = Usd.Stage.Open(str(tmp_path / "head.usdc"))
    splats = next(p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat")
    assert len(splats.GetAttribute("positions").Get(1)) == seen["splats"]
    assert len(splats.GetAttribute("positions").GetTimeSamples()) == 3
    assert len([p for p in stage.Traverse() if p.IsA(UsdSkel.BlendShape)]) == 52
