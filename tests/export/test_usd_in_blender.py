"""The rig version of a USD file through Blender's own importer: an animator gets the head, and it plays."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pxr
import pytest
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.take import demo_take
from gshead_backend.export.usd import export_usd
from gshead_backend.head import HeadModel

ROOT = Path(__file__).parents[2]
FRAMES = (1, 15, 35)
SCRIPT = """
import bpy, json, sys
import numpy as np
folder, frames = sys.argv[-2], json.loads(sys.argv[-1])
bpy.ops.wm.read_factory_settings(use_empty=True)
assert bpy.ops.wm.usd_import(filepath=folder + "/rig.usdc") == {"FINISHED"}
kinds = sorted(o.type for o in bpy.data.objects)
mesh = next(o for o in bpy.data.objects if o.type == "MESH")
rig = next(o for o in bpy.data.objects if o.type == "ARMATURE")
scene = bpy.context.scene
for frame in frames:
    scene.frame_set(frame)
    data = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(3 * len(data.vertices), np.float32)
    data.vertices.foreach_get("co", points)
    np.save(f"{folder}/{frame}.npy", points.reshape(-1, 3))
facts = {
    "kinds": kinds, "shapes": [k.name for k in mesh.data.shape_keys.key_blocks],
    "range": [scene.frame_start, scene.frame_end], "bones": sorted(b.name for b in rig.data.bones),
    "uv": len(mesh.data.uv_layers), "fps": scene.render.fps,
}
open(folder + "/facts.json", "w").write(json.dumps(facts))
"""


@pytest.mark.blender
@pytest.mark.parametrize("version", ["4.5", "5.0", "5.2"])
def test_blender_imports_the_rig_and_plays_it(tiny_head: HeadModel, tmp_path: Path, version: str) -> None:
    folder = ROOT / ".venvs" / f"blender-{version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        pytest.skip(f"SKIPPED: Blender {version} is not set up here (python3 bootstrap.py setup)")
    avatar, take = make_tiny_avatar(tiny_head, 50), demo_take()
    poses = [take.pose(tiny_head, f) for f in take.frames]
    export_usd(tmp_path / "rig.usdc", avatar, poses, pxr=pxr, fps=take.fps, mode="rig")
    done = subprocess.run(
        [str(python), "-c", SCRIPT, str(tmp_path), json.dumps(FRAMES)], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "settings")},
    )  # fmt: skip
    assert (tmp_path / "facts.json").exists(), done.stdout + done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert {"MESH", "ARMATURE"} <= set(facts["kinds"])
    assert set(facts["shapes"][1:]) == set(tiny_head.expression_names)
    assert facts["bones"] == sorted(["root", "neck", "jaw", "leftEye", "rightEye"])
    assert (facts["range"], facts["fps"], facts["uv"]) == ([1, 48], 24, 1)
    for frame in FRAMES:
        error = np.abs(np.load(tmp_path / f"{frame}.npy") - avatar.personal.vertices(poses[frame - 1])).max()
        assert error < 1e-5, f"frame {frame}: {error * 1000:.4f} mm"
