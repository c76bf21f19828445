"""Heads in files: undo, duplicates, libraries, overrides, unpacked avatars, other versions of Blender."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import VERSIONS, Blender, blender_python
from test_render import read_exr


@pytest.fixture(scope="module")
def seen(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``life_cases`` and ``life_library`` saw, once per version."""
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    told = blender.run("life_cases", out=str(tmp_path_factory.mktemp("cases")))
    told |= blender.run("life_library", out=str(tmp_path_factory.mktemp("library")))
    failed = {name: case["failed"] for name, case in told.items() if isinstance(case, dict) and "failed" in case}
    assert not failed, "\n".join(failed.values())
    return told


def test_undo_and_redo_of_loading_and_deleting(seen: dict[str, Any]) -> None:
    loading, deleting = seen["undo_of_loading"], seen["undo_of_deleting"]
    assert loading["loaded"] == loading["redone"] == [["Ada", "Grace"], 2]
    assert loading["undone"] == [["Ada"], 1]
    assert loading["different"] == 2, "each head keeps its own avatar through undo"
    assert deleting["gone"] == []
    assert deleting["back"] == deleting["before"] == {"Ada": 0.2}
    assert deleting["still_driven"] == {"Ada": 0.0}


def test_deleting_and_purging_leaves_nothing(seen: dict[str, Any]) -> None:
    assert seen["delete_and_purge"] == {"texts": 0, "heads": []}
    assert seen["joined_into_another"] == {"heads": [], "texts": 0}


def test_duplicates(seen: dict[str, Any]) -> None:
    assert seen["full_duplicate"] == {"jaws": {"Ada": 0.0, "Ada.001": 0.2}, "texts": 1}
    linked = seen["linked_duplicate"]
    assert linked["jaws"] == {"Ada": 0.0, "Ada.001": 0.2}, "bones are each duplicate's own"
    assert linked["shared"] == {"Ada": 1.0, "Ada.001": 1.0}, "shape keys are the shared mesh's"
    assert linked["notes"]["Ada"] == []
    assert "linked duplicate" in linked["notes"]["Ada.001"][0]
    assert linked["own"] == {"Ada": 1.0, "Ada.001": 0.5}, "a single user follows its own rig at once"
    assert linked["both"]["Ada.001"] == 1.0
    assert linked["after"] == {"Ada": [], "Ada.001": []}
    assert linked["texts"] == 1, "the avatar stays shared"
    assert linked["as_vertices"] == []
    assert seen["single_user_mesh"] == {"jaws": {"Ada": 0.2}, "problems": []}


def test_append_and_link(seen: dict[str, Any]) -> None:
    assert seen["append_from_file"] == {"jaws": {"Ada": 0.2}, "closed": {"Ada": 0.0}, "texts": 1, "local": True}
    assert seen["append_twice"] == {"jaws": [0.0, 0.2], "ids": 1}
    assert seen["linked_instance"] == {"jaws": {"Ada": 0.2}, "x": [1.0]}


def test_a_library_override_is_posed_keyed_and_saved(seen: dict[str, Any]) -> None:
    override = seen["library_override"]
    assert override["before"] == {"Ada": 0.2}
    assert override["posed"] == override["again"] == {"Ada": 0.4}
    assert override["pucker"] == {"Ada": 1.0}, "the shape keys follow the overridden rig"
    assert override["keyed"] > 52
    assert override["local_texts"] == 0, "the avatar stays in its library"
    assert override["as_vertices"] == []
    assert seen["override_made_by_the_menu"]["jaws"] == {"Ada": 0.4}


def test_names_and_scenes(seen: dict[str, Any]) -> None:
    assert seen["renamed"] == {"jaws": {"Björn": 0.2}, "rig": "Armature"}
    assert seen["two_scenes"] == {"scenes": [{"Ada": 0.2}] * 2, "after": {"Ada": 0.2}}
    assert seen["full_scene_copy"] == {"scenes": [[0.2], [0.0]], "texts": 1}


def test_what_breaks_a_head_is_said(seen: dict[str, Any]) -> None:
    joined = seen["joined"]
    assert "817 vertices" in joined["warning"]
    assert "817 vertices" in joined["problems"][0]
    assert joined["jaws"] == {"Ada": 0.2}, "the splats still follow the bones"
    assert "has no rig" in seen["rig_deleted"]["problems"][0]
    assert "no bone 'jaw'" in seen["bone_renamed"]["problems"][0]


def test_unpacked_avatars(seen: dict[str, Any]) -> None:
    told = seen["unpacked"]
    assert "Save the .blend file first" in told["unsaved"]
    assert told["smaller"]
    assert told["again"] == {"Ada": True}
    assert "'//Ada.gshead' is missing" in told["missing"] == told["health"][0]
    assert "not the avatar of 'Ada'" in told["wrong"]
    assert told["relinked"] == ["//away/moved.gshead", ["Ada"]]
    assert told["carried"] == [True, ["Ada"]], "a file that is saved elsewhere stays whole"
    assert told["packed_again"]
    assert told["kept"]
    assert seen["linked_unpacked"]["heads"] == ["Ada"]
    assert seen["linked_unpacked"]["appended"] == ["Ada"], "packed, because its path held in its own folder only"
    assert "belongs to 'lib.blend'" in seen["linked_unpacked"]["refused"]


@pytest.mark.timeout(600)
def test_a_file_renders_the_same_picture_in_every_version(tmp_path: Path) -> None:
    there = [version for version in VERSIONS if blender_python(version).exists()]
    if len(there) < 2:
        pytest.skip("SKIPPED: one version of Blender alone (python3 bootstrap.py setup)")
    runtime = Path(tempfile.mkdtemp(prefix="gsh-"))
    blenders = {version: Blender(version, tmp_path / version, runtime) for version in there}
    for blender in blenders.values():
        blender.resources.mkdir()
    for version, blender in blenders.items():
        file, picture = tmp_path / f"{version}.blend", tmp_path / f"{version}.exr"
        told = blender.run("cross_version", write=True, file=str(file), out=str(picture))
        rgba, depth = read_exr(picture)
        assert rgba[..., 3].max() > 0.9
        for other in there:
            if other == version:
                continue
            opened = tmp_path / f"{version}-in-{other}.exr"
            again = blenders[other].run("cross_version", write=False, file=str(file), out=str(opened))
            where = f"{version} opened in {other}"
            assert again["avatar"] == told["avatar"], where
            assert not again["foreign"], where
            np.testing.assert_allclose(again["pose"], told["pose"], atol=1e-6, err_msg=where)
            for ours, theirs in zip((rgba, depth), read_exr(opened), strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=where)
    shutil.rmtree(runtime, ignore_errors=True)
