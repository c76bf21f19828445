"""Export USD."""

from __future__ import annotations

from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper

from .. import heads, usd_export
from .reporting import reports_errors

MODES = (
    ("baked", "Baked Splats", "Splats with time samples: plays in every viewer that draws Gaussian splats"),
    ("rig", "Rig and Binding", "Skeleton and blend shapes animate; the splats carry their binding to the mesh"),
)
PRECISIONS = (
    ("float", "Full", "32-bit floats"),
    ("half", "Half", "16-bit floats: half the size, places splats to about 0.1 mm"),
)


class GSHEAD_OT_export_usd(bpy.types.Operator, ExportHelper):
    """Write the active head over the scene's frame range: splats, rigged mesh and camera"""

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
    use_camera: bpy.props.BoolProperty(name="Camera", description="Write the scene's camera as well", default=True)

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.mesh_of(context.object) is not None

    def check(self, context: Any) -> bool:
        return False  # any of the four endings is fine: do not append another

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        samples = usd_export.export_head(
            context, heads.mesh_of(context.object), bpy.path.abspath(self.filepath), mode=self.mode,
            precision=self.precision, with_camera=self.use_camera,
        )  # fmt: skip
        self.report({"INFO"}, f"Wrote {len(samples.poses)} frames to {self.filepath}")
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_export_usd,)
