"""Performances in Blender: recordings and takes in, out, on strips, baked both ways, tracked from video."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import ROOT, Blender

from gshead_backend.avatar import load_take
from gshead_backend.portrait.assets import missing_assets


def test_takes_go_in_and_out_and_are_baked_both_ways(blender: Blender, tmp_path: Path) -> None:
    seen = blender.run("takes_in_out", out=str(tmp_path))
    assert seen["round_trip"] < 1e-4
    assert seen["csv"] < 1e-4
    assert seen["csv_turn"] < 1e-4
    assert seen["csv_notes"] == ""
    assert seen["strip"] == ["Shot 7", "Shot 7", 101, 148, True]
    assert seen["current_action"], "the strip plays, not an action on top of it"
    assert seen["strip_moves"] < 0.15, "linear between sixtieths, on whole frames of the scene"
    assert seen["whole_frames"]
    assert "ignored SmellLevel" in seen["output"]
    assert "1 line left out" in seen["output"]
    assert seen["same_action"]
    assert seen["puff"] == pytest.approx(0.5, abs=1e-3)
    assert seen["still_smiles"] > 0.7
    assert seen["baked"]
    assert seen["bake_error"] < 1e-6, "metres"
    assert seen["edited"] == pytest.approx(0.25)
    assert not seen["unbaked"]
    assert seen["controls_action"][1]
    assert seen["smile"] == pytest.approx([0.25, 0.25], abs=1e-5), "the edited keys are on the controls now"
    assert seen["jaw"] < 1e-5
    assert seen["turn"] < 1e-3
    assert seen["removed"] == [False, True]
    assert seen["after_remove"] > 0.7
    assert "GSH-E101" in seen["refused"]
    assert "'a', 'b'" in seen["refused"]
    assert "GSH-E100" in seen["no_frames"]
    assert seen["kept"]
    assert seen["handler"] == [".json;.csv", "gshead.import_take"]
    assert seen["undone"] == seen["controls_action"][0]


def test_a_filmed_face_reenacts_on_a_head(blender: Blender, tmp_path: Path) -> None:
    if missing_assets():
        pytest.skip(f"SKIPPED: the portrait networks are not installed: {', '.join(missing_assets())}")
    pictures = tmp_path / "shot_9"
    pictures.mkdir()
    for k in range(1, 4):
        shutil.copy(ROOT / "samples" / "astronaut.png", pictures / f"{k:04d}.png")
    (tmp_path / "empty").mkdir()
    seen = blender.run("reenact", pictures=str(pictures), empty=str(tmp_path / "empty"))
    assert "GSH-E100" in seen["refused"]
    assert "no pictures" in seen["refused"]
    assert seen["untouched"]
    assert seen["strip"] == ["shot_9", 1, 3]
    assert min(seen["smile"]) > 0.3, "she smiles"
    assert max(abs(a) for row in seen["turn"] for a in row) > 1
    assert load_take(tmp_path / "reenacted.json").channels["mouthSmileLeft"].values.max() > 0.3
