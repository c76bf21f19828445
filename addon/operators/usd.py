"""USD out and in, and splats as PLY, SPZ or glTF; in the sidebar and in the File menu."""

from __future__ import annotations

from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .. import heads, splat_export, usd_export
from .reporting import reports_errors

MODES = (
    ("baked", "Baked Splats", "Splats with time samples: plays in every viewer that draws Gaussian splats"),
    ("clips", "Baked Clips", "Baked splats, in one file for each chunk of frames (value clips)"),
    ("rig", "Rig and Binding", "Skeleton and blend shapes animate; the splats carry their binding to the mesh"),
)
PRECISIONS = (
    ("float", "Full", "32-bit floats"),
    ("half", "Half", "16-bit floats: half the size, places splats to about 0.1 mm"),
)
FORMATS = (
    (".ply", "PLY", "3D Gaussian Splatting's own layout, which most viewers read"),
    (".spz", "SPZ", "A fifth of the size, places to a micrometre, sizes to 3 %"),
    (".glb", "glTF", "Splats (KHR_gaussian_splatting) and the skinned head mesh with ARKit morph targets"),
)
RANGES = (("frame", "Current Frame", "One file"), ("range", "Frame Range", "Numbered files; a glTF is one file"))


class _FromHead(ExportHelper):
    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.mesh_of(context.object) is not None


class GSHEAD_OT_export_usd(_FromHead, bpy.types.Operator):
    """Write the active head over the scene's frame range: splats, rigged mesh, camera and lights"""

    bl_idname = "gshead.export_usd"
    bl_label = "Export USD"

    filename_ext = ".usdc"
    filter_glob: bpy.props.StringProperty(default="*.usd;*.usda;*.usdc;*.usdz", options={"HIDDEN"})
    mode: bpy.props.EnumProperty(
        name="Animation", description="What of the animation is written", items=MODES, default="baked"
    )
    precision: bpy.props.EnumProperty(
        name="Precision", description="How exact the numbers are in the file", items=PRECISIONS, default="float"
    )
    chunk: bpy.props.IntProperty(name="Chunk", description="Clips: frames in one file", default=24, min=1)
    use_camera: bpy.props.BoolProperty(name="Camera", description="Write the scene's camera as well", default=True)
    use_lights: bpy.props.BoolProperty(name="Lights", description="Write the scene's lights as well", default=True)
    use_texture: bpy.props.BoolProperty(
        name="Texture", description="Bake a texture for the mesh from the splats, as a PNG beside the file",
        default=True,
    )  # fmt: skip

    def check(self, context: Any) -> bool:
        return False  # any of the four endings is fine: do not append another

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        samples = usd_export.export_head(
            context, heads.mesh_of(context.object), bpy.path.abspath(self.filepath), mode=self.mode,
            precision=self.precision, with_camera=self.use_camera, with_lights=self.use_lights,
            texture=self.use_texture, chunk=self.chunk,
        )  # fmt: skip
        self.report({"INFO"}, f"Wrote {len(samples.poses)} frames to {self.filepath}")
        return {"FINISHED"}


class GSHEAD_OT_export_splats(_FromHead, bpy.types.Operator):
    """Write the active head's splats for splat viewers and other programs"""

    bl_idname = "gshead.export_splats"
    bl_label = "Export Splats"

    filename_ext = ".ply"
    filter_glob: bpy.props.StringProperty(default="*.ply;*.spz;*.glb", options={"HIDDEN"})
    file_format: bpy.props.EnumProperty(name="Format", description="Kind of file", items=FORMATS, default=".ply")
    frames: bpy.props.EnumProperty(name="Frames", description="What is written", items=RANGES, default="frame")

    def check(self, context: Any) -> bool:
        self.filename_ext = self.file_format
        return ExportHelper.check(self, context)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        write = splat_export.export_frames if self.frames == "range" else splat_export.export_frame
        files = write(context, heads.mesh_of(context.object), bpy.path.abspath(self.filepath))
        self.report({"INFO"}, f"Wrote {len(files)} files, {files[0]} first" if len(files) > 1 else f"Wrote {files[0]}")
        return {"FINISHED"}


class GSHEAD_OT_import_usd(bpy.types.Operator, ImportHelper):
    """Add the heads of a USD file that gshead wrote, rigged and keyed as they were"""

    bl_idname = "gshead.import_usd"
    bl_label = "Import USD Head"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filename_ext = ".usdc"
    filter_glob: bpy.props.StringProperty(default="*.usd;*.usda;*.usdc;*.usdz", options={"HIDDEN"})
    use_animation: bpy.props.BoolProperty(name="Animation", description="Key what the file's rig plays", default=True)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        path = bpy.path.abspath(self.filepath)
        made, notes = splat_export.import_heads(context, path, with_animation=self.use_animation)
        heads.show_in_viewports(context, made[-1])
        for note in notes:
            self.report({"WARNING"}, note)
        self.report({"INFO"}, f"Imported {', '.join(new.mesh.name for new in made)}")
        return {"FINISHED"}


def draw_export_menu(menu: Any, context: Any) -> None:
    """Entries of File > Export."""
    menu.layout.operator("gshead.export_usd", text="Gaussian Head (.usd)")
    menu.layout.operator("gshead.export_splats", text="Gaussian Head Splats (.ply, .spz, .glb)")
    menu.layout.operator("gshead.export_face", text="Gaussian Head ARKit Mesh (.glb, .fbx)")


def draw_import_menu(menu: Any, context: Any) -> None:
    """Entry of File > Import."""
    menu.layout.operator("gshead.import_usd", text="Gaussian Head (.usd)")


def register_menus() -> None:
    bpy.types.TOPBAR_MT_file_export.append(draw_export_menu)
    bpy.types.TOPBAR_MT_file_import.append(draw_import_menu)


def unregister_menus() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(draw_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(draw_import_menu)


CLASSES = (GSHEAD_OT_export_usd, GSHEAD_OT_export_splats, GSHEAD_OT_import_usd)
