"""The control bones as an animator uses them: sliders, joysticks, gaze, bounds, mirroring, keys, poses, strips."""

from __future__ import annotations

from typing import Any

import bpy
import common
import numpy as np
import render_setup

LEFT_RIGHT = ("Left", "Right")


def evaluated(rig: Any) -> Any:
    bpy.context.view_layer.update()
    return rig.evaluated_get(bpy.context.evaluated_depsgraph_get())


def values(rig: Any) -> dict[str, float]:
    return common.module("rig.controls").channel_values(evaluated(rig))


def lit(rig: Any) -> dict[str, float]:
    """The channels that are not at rest."""
    return {name: round(value, 6) for name, value in values(rig).items() if abs(value) > 1e-6}


def other_side(channel: str) -> str:
    for a, b in (LEFT_RIGHT, LEFT_RIGHT[::-1]):
        if channel.endswith(a):
            return channel.removesuffix(a) + b
    return channel


def select(rig: Any, *names: str) -> None:
    compat = common.module("compat")
    for bone in rig.pose.bones:
        compat.select_bone(bone, bone.name in names)
    rig.data.bones.active = rig.data.bones[names[0]]


def moved_one_by_one(rig: Any, board: Any, clear: Any) -> dict[str, Any]:
    """What each slider and each half of a joystick's axis lights, and what far too much of it does."""
    sliders, sticks, beyond = {}, {}, []
    for slider in board.sliders():
        rig.pose.bones[slider.bone].location[1] = 0.5
        sliders[slider.channel] = lit(rig)
        rig.pose.bones[slider.bone].location[1] = 7.0
        beyond.append(values(rig)[slider.channel])
        clear(rig)
    for stick in board.joysticks():
        for (axis, sign), channel in stick.adds.items():
            rig.pose.bones[stick.bone].location[axis] = 0.5 * sign
            sticks[f"{stick.bone} {axis}{sign:+d} {channel}"] = lit(rig)
            clear(rig)
    return {"sliders": sliders, "sticks": sticks, "beyond": beyond, "rest": lit(rig)}


def dragged(rig: Any, board: Any, clear: Any) -> dict[str, Any]:
    """Moving with G, ten times too far: bones stop at their limits and locked axes stay."""
    found = {}
    far = 10 * board.HEIGHT
    for bone, offset in (("eyeBlink.L", (far, far, far)), ("eyeBlink.R", (far, far, far)), ("CTL-jaw", (far, 0, -far)),
                         ("CTL-corner.R", (-far, 0, far))):  # fmt: skip
        select(rig, bone)
        bpy.ops.transform.translate(value=offset)
        found[bone] = list(rig.pose.bones[bone].location)
        clear(rig)
    return found


def mirrored(rig: Any, board: Any, clear: Any) -> dict[str, float]:
    """The largest differences between a pose pasted flipped and the same pose with its sides exchanged."""
    rng = np.random.default_rng(4)
    for control in board.sliders():
        rig.pose.bones[control.bone].location[1] = rng.uniform(0, 0.45)
    for stick in board.joysticks():
        for axis in (0, 1):
            rig.pose.bones[stick.bone].location[axis] = rng.uniform(*(0.5 * np.array(stick.limits(axis))))
    rig.pose.bones["eye_target"].location = (0.06, 0.02, 0.0)
    rig.pose.bones["neck"].rotation_euler = (0.1, 0.3, 0.2)
    rig.pose.bones["eye.L"].rotation_euler = (0.05, 0.1, 0.0)
    before = values(rig)
    bpy.ops.pose.select_all(action="SELECT")
    bpy.ops.pose.copy()
    bpy.ops.pose.paste(flipped=True)
    after = values(rig)
    turned = np.abs(np.array(rig.pose.bones["neck"].rotation_euler) - (0.1, -0.3, -0.2)).max()
    eye = np.abs(np.array(rig.pose.bones["eye.R"].rotation_euler) - (0.05, -0.1, 0.0)).max()
    # The ends of the gaze differ a little: the two eyes of a person are not quite a mirror image.
    gaze = max(abs(after[other_side(n)] - v) for n, v in before.items() if n.startswith("eyeLook"))
    rest = max(abs(after[other_side(n)] - v) for n, v in before.items() if not n.startswith("eyeLook"))
    clear(rig)
    return {"channels": max(rest, turned, eye), "gaze": gaze, "asymmetry": abs(before["mouthSmileLeft"] -
                                                                          before["mouthSmileRight"])}  # fmt: skip


def gazing(rig: Any, clear: Any) -> dict[str, Any]:
    """How far off the eyes aim, in degrees, with the head turned or not, and what moves with them."""
    found: dict[str, Any] = {"off": {}}
    target = rig.pose.bones["eye_target"]
    for label, place, follow, turn in (
        ("up left", (0.1, 0.06, 0.0), 1.0, 0.0), ("down right", (-0.06, -0.04, -0.05), 1.0, 0.0),
        ("held", (0.0, 0.0, 0.0), 0.0, 0.2), ("carried", (0.05, 0.0, 0.0), 1.0, 0.6),
    ):  # fmt: skip
        target["follow_head"] = follow
        target.location = place
        rig.pose.bones["neck"].rotation_euler[1] = turn
        rig.update_tag()
        bones = evaluated(rig).pose.bones
        for side in "LR":
            eye, aim = bones[f"eye.{side}"], bones[f"eye_target.{side}"].head
            wanted = (aim - eye.head).normalized()
            seen = eye.matrix.to_3x3().col[2].normalized()
            found["off"][f"{label} {side}"] = float(np.degrees(np.arccos(np.clip(wanted.dot(seen), -1, 1))))
        if label == "up left":
            found["lit"] = lit(rig)
        if label == "held":
            found["held"] = lit(rig)
    clear(rig)
    target["follow_head"] = 1.0
    return found


def keyed(rig: Any, controls: Any, clear: Any) -> dict[str, Any]:
    """``I`` with the keying set, blending to neighbours, poses from actions, strips over strips."""
    compat, found = common.module("compat"), {}
    clear(rig)
    bpy.context.scene.frame_set(1)
    bpy.ops.anim.keyframe_insert_by_name(type="GSHEAD_KS_head")
    found["keyed"] = sorted((c.data_path, c.array_index) for c in compat.scene_curves(rig))
    found["wanted"] = sorted((path, index) for path, index, _ in controls.control_paths(rig))
    found["groups"] = len({c.group.name for c in compat.scene_curves(rig)})
    controls.set_channels(rig, {"jawOpen": 0.8, "mouthSmileLeft": 0.6})
    bpy.context.scene.frame_set(11)
    controls.set_channels(rig, {"jawOpen": 0.8, "mouthSmileLeft": 0.6})
    select(rig, "jawOpen", "mouthSmile.L")
    bpy.ops.anim.keyframe_insert(type="Location")
    bpy.context.scene.frame_set(6)
    found["between"] = lit(rig)
    bpy.ops.pose.select_all(action="SELECT")
    bpy.ops.pose.blend_to_neighbor(factor=1.0, prev_frame=1, next_frame=11)
    found["neighbor"] = lit(rig)
    action = rig.animation_data.action
    clear(rig)
    rig.animation_data.action = None
    rig.pose.apply_pose_from_action(action, evaluation_time=11)
    found["applied"] = lit(rig)
    clear(rig)
    rig.pose.blend_pose_from_action(action, blend_factor=0.5, evaluation_time=11)
    found["blended"] = lit(rig)
    clear(rig)
    first = rig.animation_data.nla_tracks.new()
    strip = first.strips.new("open", 1, action)
    strip.action_slot = action.slots[0]
    rig.animation_data.nla_tracks.new().strips.new("again", 6, action)
    second = rig.animation_data.nla_tracks[1].strips[0]
    second.action_slot, second.blend_type = action.slots[0], "ADD"
    bpy.context.scene.frame_set(11)
    found["strips"] = lit(rig)
    found["slots"] = len(action.slots)
    keys = bpy.data.objects["Ada"].data.shape_keys
    found["other_actions"] = keys.animation_data.action is not None
    return found


def main() -> None:
    common.enable()
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    heads, controls, board, takes = (common.module(n) for n in ("heads", "rig.controls", "rig.board", "takes"))
    made = heads.add_head(bpy.context, render_setup.tiny_bytes(), "Ada")
    rig, clear = made.rig, takes.clear_pose
    rig.location, rig.rotation_euler, rig.scale = (0.5, 1.0, -0.2), (0.2, 0.1, 0.9), (2.0, 2.0, 2.0)
    report = moved_one_by_one(rig, board, clear)
    bpy.context.view_layer.objects.active = rig
    report["selected"] = bpy.ops.gshead.select_controls() == {"FINISHED"}
    chosen = {bone.name for bone in bpy.context.selected_pose_bones}
    report["not_selected"] = sorted(set(controls.control_axes(rig)) - chosen)
    report["too_many"] = sorted(chosen - set(controls.control_axes(rig)))
    bpy.ops.gshead.toggle_board()
    report["hidden"] = not controls_visible(rig, "jawOpen") and controls_visible(rig, "neck")
    bpy.ops.gshead.toggle_board()
    rig.location, rig.rotation_euler, rig.scale = (0, 0, 0), (0, 0, 0), (1, 1, 1)
    report["dragged"] = dragged(rig, board, clear)
    report["mirror"] = mirrored(rig, board, clear)
    report["gaze"] = gazing(rig, clear)
    with viewport():
        report |= keyed(rig, controls, clear)
    bone = rig.pose.bones["cheekPuff"]
    bone.gshead_value = 3.0
    report["panel"] = [bone.gshead_value, bone.location[1]]
    keying, states = common.module("keying"), []
    curve = controls.control_curves(rig)["cheekPuff"]
    for _ in range(2):
        states.append(keying.key_state(rig, curve, 7))
        bpy.context.scene.frame_set(7)
        bpy.ops.gshead.key_channel(channel="cheekPuff")
    report["key_button"] = [*states, keying.key_state(rig, curve, 7)]
    common.report(**report)


def viewport() -> Any:
    """Where an animator's pointer is: some operators want a 3D viewport, which is there without a window system too."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=window, area=area, region=region)


def controls_visible(rig: Any, bone: str) -> bool:
    return any(c.is_visible_effectively for c in rig.data.bones[bone].collections)


common.run(main)
