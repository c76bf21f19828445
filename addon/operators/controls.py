"""The rig's controls: select, show, attach, update."""

from __future__ import annotations

from typing import Any

import bpy

from gshead_backend.errors import ArgumentError

from .. import attach, board_view, heads, keying, storage
from ..rig.controls import channels_of, has_board
from ..rig.update import update_rig
from .reporting import reports_errors


def _rig(context: Any) -> Any | None:
    """The active head's armature, or a selected head's while another armature is active."""
    candidates = (context.object, *context.selected_objects)
    return next((rig for obj in candidates if (rig := heads.rig_of(obj)) is not None), None)


class _OnRig:
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: Any) -> bool:
        return _rig(context) is not None


class GSHEAD_OT_select_controls(_OnRig, bpy.types.Operator):
    """Enter Pose Mode with every visible control of the head selected"""

    bl_idname = "gshead.select_controls"
    bl_label = "Select Controls"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        count = board_view.select_controls(context, _rig(context))
        self.report({"INFO"}, f"Selected {count} controls")
        return {"FINISHED"}


class GSHEAD_OT_toggle_board(_OnRig, bpy.types.Operator):
    """Show or hide the face board"""

    bl_idname = "gshead.toggle_board"
    bl_label = "Show/Hide Board"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        board_view.toggle_board(_rig(context))
        return {"FINISHED"}


class GSHEAD_OT_key_channel(_OnRig, bpy.types.Operator):
    """Key this channel's control at the current frame, or remove its key there"""

    bl_idname = "gshead.key_channel"
    bl_label = "Key Channel"

    channel: bpy.props.StringProperty(name="Channel", description="Which of the head's channels", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        rig = _rig(context)
        if self.channel not in channels_of(rig):
            raise ArgumentError(f"There is no channel '{self.channel}'.", remedy="Use a name that the panel shows.")
        keying.toggle_key(rig, self.channel, context.scene.frame_current_final)
        return {"FINISHED"}


class GSHEAD_OT_attach(_OnRig, bpy.types.Operator):
    """Hang the head, where it is, on another armature's bone: the active one in Pose Mode, else its head's by name"""

    bl_idname = "gshead.attach"
    bl_label = "Attach to Bone"

    armature: bpy.props.StringProperty(name="Armature", description="Object to attach to; empty finds it")
    bone: bpy.props.StringProperty(name="Bone", description="Bone to attach to; empty finds the head's by its name")

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        rig = _rig(context)
        if self.armature and self.armature not in context.scene.objects:
            raise ArgumentError(f"There is no object '{self.armature}' in this scene.", remedy="Name an armature.")
        armature, bone = attach.choose(context, rig, context.scene.objects.get(self.armature), self.bone)
        attach.attach(context, rig, armature, bone)
        self.armature, self.bone = armature.name, bone
        self.report({"INFO"}, f"Attached to '{bone}' of '{armature.name}'")
        return {"FINISHED"}

    def draw(self, context: Any) -> None:
        self.layout.prop_search(self, "armature", context.scene, "objects")
        armature = context.scene.objects.get(self.armature)
        if armature is not None and armature.type == "ARMATURE":
            self.layout.prop_search(self, "bone", armature.data, "bones")


class GSHEAD_OT_detach(_OnRig, bpy.types.Operator):
    """Take the head off the bone it hangs on, where it is"""

    bl_idname = "gshead.detach"
    bl_label = "Detach"

    @classmethod
    def poll(cls, context: Any) -> bool:
        rig = _rig(context)
        return rig is not None and rig.parent is not None

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        attach.detach(context, _rig(context))
        return {"FINISHED"}


class GSHEAD_OT_update_rig(_OnRig, bpy.types.Operator):
    """Give a head of an earlier version the face board and control bones, with its animation"""

    bl_idname = "gshead.update_rig"
    bl_label = "Update Rig"

    @classmethod
    def poll(cls, context: Any) -> bool:
        rig = _rig(context)
        return rig is not None and not has_board(rig)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        rig = _rig(context)
        moved = update_rig(context, rig, storage.read(heads.mesh_of(rig).data).avatar)
        self.report({"INFO"}, f"Updated '{rig.name}': {moved} curves moved to control bones")
        return {"FINISHED"}


CLASSES = (
    GSHEAD_OT_select_controls, GSHEAD_OT_toggle_board, GSHEAD_OT_key_channel, GSHEAD_OT_attach, GSHEAD_OT_detach,
    GSHEAD_OT_update_rig,
)  # fmt: skip
