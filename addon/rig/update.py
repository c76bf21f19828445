"""Giving a head of an earlier version the control bones of today, with its animation."""

from __future__ import annotations

from typing import Any

from gshead_backend.avatar.types import Avatar
from gshead_backend.errors import ArgumentError
from gshead_backend.head import ARKIT_NAMES

from .. import compat
from .board import SLIDER_BONES
from .build_controls import add_controls
from .controls import has_board, set_channels

_PATHS = {f'["{name}"]': bone for name, bone in SLIDER_BONES.items()}


def update_rig(context: Any, rig: Any, avatar: Avatar) -> int:
    """Add the controls and move keys and drivers of channels onto them, in the action and in every NLA strip.

    Returns how many curves moved. Raises ``ArgumentError`` when the rig has its controls, or belongs to another file.
    """
    if has_board(rig):
        raise ArgumentError(f"'{rig.name}' has its control bones.", remedy="There is nothing to update.")
    if not (rig.is_editable and rig.data.is_editable) or rig.library or rig.override_library:
        raise ArgumentError(
            f"'{rig.name}' is linked from another file.", remedy="Update it in the file that it comes from."
        )
    values = {name: float(rig[name]) for name in ARKIT_NAMES if name in rig}
    moved = _move_animation(rig)
    add_controls(context, rig, avatar)
    set_channels(rig, values)
    return moved


def _move_animation(rig: Any) -> int:
    animation = rig.animation_data
    if animation is None:
        return 0
    used = [(animation.action, animation.action_slot)]
    used += [(strip.action, strip.action_slot) for track in animation.nla_tracks for strip in track.strips]
    moved, seen = 0, set()
    for action, slot in used:
        if action is None or slot is None or (action.name, slot.handle) in seen:
            continue
        seen.add((action.name, slot.handle))
        for bag, curve in compat.slot_curves(action, slot):
            if curve.data_path in _PATHS:
                group = _move(curve)
                curve.group = bag.groups.get(group) or bag.groups.new(group)
                moved += 1
    for curve in animation.drivers:
        if curve.data_path in _PATHS:
            _move(curve)
            moved += 1
    return moved


def _move(curve: Any) -> str:
    """Point a channel's F-curve at its slider; the values mean the same. Returns the bone's name."""
    bone = _PATHS[curve.data_path]
    curve.data_path, curve.array_index = f'pose.bones["{bone}"].location', 1
    return bone
