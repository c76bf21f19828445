"""What the Animate panel draws of a rig: buttons, sliders, and what only few people need."""

from __future__ import annotations

import re
from typing import Any

from . import keying
from .board_view import board_collection
from .rig.controls import BOARD, FOLLOW, TARGET, control_curves, has_board
from .rig.layout import RAW_PREFIX, speaks_arkit

_COLUMNS = 4
_KEY_ICONS = {None: "DECORATE", False: "DECORATE_ANIMATE", True: "DECORATE_KEYFRAME"}


def readable(channel: str) -> str:
    """``eyeBlinkLeft`` as "Eye Blink Left"."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", channel.removeprefix(RAW_PREFIX))
    return words[:1].upper() + words[1:]


def draw_buttons(layout: Any, rig: Any) -> None:
    """Select, show, attach; or the one button that brings an earlier rig up to date."""
    if not has_board(rig):
        layout.operator("gshead.update_rig", icon="FILE_REFRESH")
        return
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator("gshead.select_controls", icon="RESTRICT_SELECT_OFF")
    shown = (collection := board_collection(rig)) is not None and collection.is_visible
    row.operator(
        "gshead.toggle_board", text="Hide Board" if shown else "Show Board", icon="HIDE_OFF" if shown else "HIDE_ON"
    )
    column.prop(rig.pose.bones[BOARD], f'["{FOLLOW}"]', text="Board Follows Head", slider=True)
    column.prop(rig.pose.bones[TARGET], f'["{FOLLOW}"]', text="Gaze Follows Head", slider=True)
    row = layout.row(align=True)
    row.operator("gshead.attach", icon="CONSTRAINT_BONE")
    row.operator("gshead.detach", icon="X")


def draw_channels(layout: Any, rig: Any, channels: Any, frame: float) -> None:
    """A slider a channel, with the diamond that keys its bone, and what it comes to with joysticks and gaze."""
    column = layout.column(align=True)
    curves = control_curves(rig)
    for name in channels:
        bone = rig.pose.bones.get(curves[name].group)
        if bone is None:
            column.prop(rig, f'["{name}"]', text=readable(name), slider=True)
            continue
        row = column.row(align=True)
        total = rig[name]
        more = f"  ({total:.2f})" if abs(total - bone.location[1]) > 5e-3 else ""
        row.prop(bone, "gshead_value", text=readable(name) + more, slider=True)
        icon = _KEY_ICONS[keying.key_state(rig, curves[name], frame)]
        row.operator("gshead.key_channel", text="", icon=icon, emboss=False).channel = name


def draw_advanced(layout: Any, rig: Any, avatar: Any, raw: Any, frame: float) -> None:
    """Raw expression coefficients, and the identity, which nothing can change once splats are bound to it."""
    if speaks_arkit(avatar.head):
        layout.label(text="Raw expression: the channels")
    else:
        draw_channels(layout, rig, raw, frame)
    layout.label(text="Identity (read-only)")
    grid = layout.grid_flow(row_major=True, columns=_COLUMNS, even_columns=True, align=True)
    for value in avatar.betas:
        grid.label(text=f"{value:+.2f}")
