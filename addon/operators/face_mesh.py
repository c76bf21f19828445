"""Export the head as a mesh with ARKit shape keys."""

from __future__ import annotations

from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper

from .. import face_mesh, heads
from .reporting import reports_errors

FORMATS = (
    (".glb", "glTF", "Binary glTF with morph targets"),
    (".fbx", "FBX", "Autodesk FBX with shape channels"),
)


class GSHEAD_OT_export_face(bpy.types.Operator, ExportHelper):
    """Write the active head as a mesh with 52 complete ARKit shape keys, a neck, a texture and the animation"""

    bl_idname = "gshead.export_face"
    bl_label = "Export ARKit Mesh"

    filename_ext = ".glb"
    filter_glob: bpy.props.StringProperty(default="*.glb;*.fbx", options={"HIDDEN"})
    file_format: bpy.props.EnumProperty(name="Format", description="Kind of file", items=FORMATS, default=".glb")

    @classmethod
    def poll(cls, context: Any) -> bool:
        mesh = heads.mesh_of(context.object)
        return mesh is not None and mesh.data.shape_keys is not None

    def check(self, context: Any) -> bool:
        self.filename_ext = self.file_format
        return ExportHelper.check(self, context)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        path = face_mesh.export_face(context, heads.mesh_of(context.object), bpy.path.abspath(self.filepath))
        self.report({"INFO"}, f"Wrote {path}")
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_export_face,)
