"""The avatar of a head: unpacked beside the .blend, packed again, found again; and a mesh of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ImportHelper

from .. import heads, health, storage
from .reporting import reports_errors


class _OnHead:
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.mesh_of(context.object) is not None


class GSHEAD_OT_unpack_avatar(_OnHead, bpy.types.Operator):
    """Write the avatar beside the .blend file and keep only its place and hash in the .blend"""

    bl_idname = "gshead.unpack_avatar"
    bl_label = "Unpack Avatar"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return super().poll(context) and storage.packed_in_file(heads.mesh_of(context.object).data)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        mesh = heads.mesh_of(context.object)
        self.report({"INFO"}, f"Unpacked to {storage.unpack(mesh.data, mesh.name)}")
        return {"FINISHED"}


class GSHEAD_OT_pack_avatar(_OnHead, bpy.types.Operator):
    """Take the avatar into the .blend file; the file beside it stays where it is"""

    bl_idname = "gshead.pack_avatar"
    bl_label = "Pack Avatar"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return super().poll(context) and bool(storage.file_of(heads.mesh_of(context.object).data))

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        storage.pack(heads.mesh_of(context.object).data)
        return {"FINISHED"}


class GSHEAD_OT_relink_avatar(_OnHead, bpy.types.Operator, ImportHelper):
    """Find the file of an unpacked avatar again; one outside the .blend file's folder is packed"""

    bl_idname = "gshead.relink_avatar"
    bl_label = "Relink Avatar"

    filename_ext = ".gshead"
    filter_glob: bpy.props.StringProperty(default="*.gshead", options={"HIDDEN"})

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        mesh = heads.mesh_of(context.object)
        packed = storage.relink(mesh.data, Path(bpy.path.abspath(self.filepath)))
        mesh.update_tag()
        self.report({"INFO"}, "Packed into the .blend file" if packed else f"Found {storage.file_of(mesh.data)}")
        return {"FINISHED"}


class GSHEAD_OT_make_single_user(_OnHead, bpy.types.Operator):
    """Give a linked duplicate a mesh of its own, so that its rig drives its expression; the avatar stays shared"""

    bl_idname = "gshead.make_single_user"
    bl_label = "Make Single User"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        health.make_single_user(heads.mesh_of(context.object))
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_unpack_avatar, GSHEAD_OT_pack_avatar, GSHEAD_OT_relink_avatar, GSHEAD_OT_make_single_user)
