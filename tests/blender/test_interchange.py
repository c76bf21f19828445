"""Out of Blender and back: what files hold is what the scene shows, by our operators and by Blender's exporters."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from harness import ROOT, Blender

sys.path.insert(0, str(ROOT / "tests" / "export"))

from readers import Glb, read_ply, read_spz
from three_splats import RDF
from tiny import make_tiny_head

from gshead_backend.export.morphs import complete_morphs
from gshead_backend.head import ARKIT_INDEX, ARKIT_NAMES, PersonalHead


def test_every_way_out_and_back(blender: Blender, tmp_path: Path) -> None:
    seen = blender.run("interchange", out=str(tmp_path), timeout=280)
    assert max(seen["errors"].values()) < 2e-6, "metres: baked splats are where the project computes them"
    assert max(seen["native"].values()) < 2e-5, "so are those that the hook adds to Blender's own export"
    assert seen["counts"] == {"rig": [1, 0], "half": [1, 12], "none": [0, 0], "finer": 0, "unhooked": 0}
    assert "vertices in the USD file instead of" in seen["output"]
    assert set(seen["ours"]) == set(seen["lights"]) == {"SphereLight", "SphereLightSpot", "DistantLight", "RectLight"}
    for kind, values in seen["ours"].items():
        assert values == pytest.approx(seen["lights"][kind], abs=2e-4), f"{kind} as Blender's exporter writes it"
    assert seen["left"][0] == seen["left"][1], "nothing of the ARKit mesh stays in the file"
    assert seen["mode"] == "POSE"
    assert seen["poses"]["rig.usdc"] < 2e-5, "the imported head plays where the exported one did"
    assert "GSH-E101" in seen["refused"]
    assert seen["nothing_added"]
    assert not seen["native_splats"], "no supported Blender draws splats itself; docs/export.md says so"
    assert [n for n in seen["files"] if n.startswith("clips")] == [
        "clips.0001-0005.usdc", "clips.0006-0010.usdc", "clips.0011-0012.usdc", "clips.manifest.usda",
        "clips.topology.usdc", "clips.usdc", "clips_head.png",
    ]  # fmt: skip
    _check_splats(seen, tmp_path)
    _check_face(seen, tmp_path)


def test_the_hook_keeps_what_changes_with_the_pose_or_says_what_is_lost(blender: Blender, tmp_path: Path) -> None:
    seen = blender.run("usd_residual", out=str(tmp_path), timeout=200)
    assert seen["armature"]["posed"] < 1e-3, "colour and opacity, with the pose read from bones and shapes"
    assert seen["armature"]["neutral"] > 0.02, "the residual is what is tested here"
    assert seen["points"]["neutral"] < 1e-3, "without an armature there is no pose to read"
    assert "'Ada': its splats keep the look of the neutral face" in seen["output"]


def _check_splats(seen: dict, folder: Path) -> None:
    want = np.load(folder / "want.npz")
    for frame in (1, 8, 12):
        assert np.abs(read_ply(folder / f"all.{frame:04d}.ply").means - want[f"f{frame}"] @ RDF.T).max() < 1e-6
        assert np.abs(read_spz(folder / f"all.{frame:04d}.spz").means - want[f"f{frame}"]).max() < 2e-6
    assert np.abs(read_ply(folder / "one.ply").means - want["f8"] @ RDF.T).max() < 1e-6
    assert np.abs(Glb(folder / "all.glb").splats().means - want["f1"]).max() < 1e-6


def _check_face(seen: dict, folder: Path) -> None:
    glb = Glb(folder / "face.glb")
    (mesh,) = glb.json["meshes"]
    assert mesh["extras"]["targetNames"] == list(ARKIT_NAMES)
    (primitive,) = mesh["primitives"]
    rest = glb.accessor(primitive["attributes"]["POSITION"])
    head = make_tiny_head()
    rng = np.random.default_rng(3)  # as tests/blender/scripts/common.py
    betas = rng.normal(size=head.identity_count).astype(np.float32)
    offsets = (rng.normal(size=(head.vertex_count, 3)) * 5e-4).astype(np.float32)
    person = PersonalHead.create(head, betas, offsets.astype(np.float16).astype(np.float32))
    distance = np.linalg.norm(rest[:, None] - person.rest[None], axis=2)
    assert distance.min(1).max() < 1e-5
    vertex, morphs = distance.argmin(1), complete_morphs(person)
    for name in ("jawOpen", "eyeLookUpLeft", "eyeLookInRight", "mouthSmileLeft"):
        got = glb.accessor(primitive["targets"][ARKIT_INDEX[name]]["POSITION"])
        want = morphs[ARKIT_INDEX[name]][vertex]
        assert np.abs(want).max() > 1e-3, name
        assert np.abs(got - want).max() < 2e-5, f"{name} alone does what its channel does"
    assert glb.json["animations"]
    assert len(glb.json["images"]) == 1
    assert sorted(glb.json["nodes"][j]["name"] for j in glb.json["skins"][0]["joints"]) == ["neck", "root"]
    assert seen["fbx"]["names"] == ["Basis", *ARKIT_NAMES]
    assert seen["fbx"]["jaw"] == pytest.approx(np.linalg.norm(morphs[ARKIT_INDEX["jawOpen"]], axis=1).max(), rel=1e-3)
