"""Selecting the controls of a head, and showing or hiding its board."""

from __future__ import annotations

from typing import Any

import bpy

from gshead_backend.errors import ArgumentError

from . import compat
from .rig.build_controls import activate
from .rig.controls import control_axes


def board_collection(rig: Any) -> Any | None:
    """The bone collection that holds the board; None on rigs of an earlier version."""
    return rig.data.collections_all.get("Board")


def toggle_board(rig: Any) -> bool:
    """Show or hide the board; returns whether it is shown now. Raises ``ArgumentError`` when it cannot be changed."""
    board = board_collection(rig)
    if board is None:
        raise ArgumentError(f"'{rig.name}' has no face board.", remedy="Use Update Rig first.")
    if not rig.data.is_editable:
        raise ArgumentError(
            f"The armature of '{rig.name}' is linked from another file and cannot be changed here.",
            remedy="Make a library override of the head (Object > Library Override > Make).",
        )
    board.is_visible = not board.is_visible
    return board.is_visible


def select_controls(context: Any, rig: Any) -> int:
    """Enter Pose Mode with every visible control selected and nothing else; returns how many."""
    activate(context, rig)
    bpy.ops.object.mode_set(mode="POSE")
    controls = control_axes(rig)
    count = 0
    for bone in rig.pose.bones:
        collections = bone.bone.collections
        shown = not bone.bone.hide and any(c.is_visible_effectively for c in collections)
        compat.select_bone(bone, shown and bone.name in controls)
        count += shown and bone.name in controls
    return count
