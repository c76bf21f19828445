"""The rig in Blender is the head of the backend: same vertices, same takes, same cameras."""

from __future__ import annotations

import pytest
from harness import Blender

from gshead_backend.head import ARKIT_NAMES

TENTH_OF_A_MILLIMETRE = 1e-4


@pytest.mark.parametrize("head", ["tiny", "default"])
def test_evaluated_vertices_equal_the_backends(blender: Blender, head: str) -> None:
    seen = blender.run("rig_binding", head=head)
    assert seen["compared"] == 52 + 15 + 20
    assert seen["still"] == [], "these did not move the mesh, so comparing them proves nothing"
    assert seen["from_pose"] < TENTH_OF_A_MILLIMETRE, seen["worst"]
    assert seen["from_arkit"] < TENTH_OF_A_MILLIMETRE, seen["worst_arkit"]
    assert seen["sent_as_vertices"] == [], "a pose is enough for whatever the rig itself does"
    assert seen["needs_python"] == [], "drivers must work with auto-run disabled"
    assert seen["keys"] == list(ARKIT_NAMES)


def test_a_head_with_a_basis_of_its_own_has_both_kinds_of_sliders(blender: Blender) -> None:
    seen = blender.run("rig_foreign_basis")
    assert seen["from_pose"] < TENTH_OF_A_MILLIMETRE
    assert seen["from_arkit"] < TENTH_OF_A_MILLIMETRE
    assert seen["needs_python"] == []
    assert seen["helpers"] > 0, "this basis is meant to need sums too long for one expression"
    assert seen["correctives"] == "pose"


def test_takes_play_as_the_backend_plays_them(blender: Blender) -> None:
    seen = blender.run("takes")
    assert seen["moved"] > 0.02
    assert max(seen["worst"].values()) < TENTH_OF_A_MILLIMETRE
    assert seen["slots"] == 1, "one action slot holds the whole take"
    assert seen["keyed"] == seen["curves"] == 52 + 5 * 3 + 3 + 3 * 3 + 21


def test_cameras_project_as_blender_does(blender: Blender) -> None:
    seen = blender.run("cameras")
    assert seen["cameras"] == 108
    assert seen["worst"]["pixels"] < 0.01
    assert seen["worst"]["depth"] < 1e-4
    assert seen["worst"]["viewport"] < 1e-6
    assert seen["worst"]["region"] < 1e-6
    assert "GSH-E100" in seen["refused"]
