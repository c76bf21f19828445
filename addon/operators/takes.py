"""Import Take and Export Take."""

from __future__ import annotations

from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper, ImportHelper

from gshead_backend.avatar.take import Take

from .. import heads, takes
from ..take_files import TakeOptions, read_take, write_take
from ..take_sampling import sample
from ..timeline import played_frames
from .reporting import reports_errors

STARTS = (
    ("OWN", "Own Frame", "Where the take itself begins"),
    ("CURRENT", "Current Frame", "At the current frame"),
    ("FRAME", "Frame", "At the frame below"),
)
TARGETS = (
    ("NEW", "New Action", "Keep the current action and make another one, named after the take"),
    ("CURRENT", "Current Action", "Replace the take's channels in the current action"),
)
MOTIONS = (
    ("neck", "Neck", "The neck turns, the shoulders stay"),
    ("head", "Whole Bust", "The whole bust turns"),
    ("none", "Nothing", "Only the face moves"),
)
FORMATS = (
    (".json", "Take", "The project's own format, without loss"),
    (".csv", "Live Link Face", "The recording's table of 61 columns"),
)


class TakeTarget:
    """The properties that say where a take goes, and putting it there."""

    start: bpy.props.EnumProperty(name="Start", description="Where the first frame goes", items=STARTS, default="OWN")
    start_frame: bpy.props.IntProperty(name="Start Frame", description="Frame of the timeline", default=1)
    target: bpy.props.EnumProperty(
        name="Key Into", description="Which action gets the keys", items=TARGETS, default="NEW"
    )
    add_strip: bpy.props.BoolProperty(
        name="Add as NLA Strip", description="Put the new action on a track of its own", default=False
    )

    def draw_target(self, layout: Any) -> None:
        layout.prop(self, "start")
        if self.start == "FRAME":
            layout.prop(self, "start_frame")
        layout.prop(self, "target")
        row = layout.row()
        row.active = self.target == "NEW"
        row.prop(self, "add_strip")

    def put(self, context: Any, rig: Any, take: Take, note: str) -> None:
        """Key a take onto a rig as the properties say, and report it in one line."""
        start = {"OWN": None, "CURRENT": context.scene.frame_current, "FRAME": self.start_frame}[self.start]
        action, strip = takes.put_take(
            context.scene, rig, take, start=start, new_action=self.target == "NEW", add_strip=self.add_strip
        )
        where = f"'{action.name}'" + (f" as strip '{strip.name}'" if strip is not None else "")
        said = f"{where}: {len(take.channels)} channels, {take.frame_count} frames"
        self.report({"INFO"}, f"{said}; {note}" if note else said)


class GSHEAD_OT_import_take(TakeTarget, bpy.types.Operator, ImportHelper):
    """Key a take (JSON) or a Live Link Face recording (CSV) onto the active head"""

    bl_idname = "gshead.import_take"
    bl_label = "Import Take"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filename_ext = ".json"
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.json;*.csv", options={"HIDDEN"})
    scale: bpy.props.FloatProperty(name="Scale", description="Of all values", default=1, min=0, max=10, soft_max=2)
    smooth: bpy.props.FloatProperty(
        name="Smoothing", description="0 leaves every frame alone, 1 is usual; blinks stay", default=0, min=0, max=5
    )
    motion: bpy.props.EnumProperty(
        name="Head Turns", description="Which bones turn the head", items=MOTIONS, default="neck"
    )
    center: bpy.props.BoolProperty(
        name="Center", description="Take the recording's middle head position for straight ahead", default=False
    )
    rate: bpy.props.FloatProperty(
        name="Timecode Rate", description="Frames per second that timecodes count in; 0 finds it from them", default=0,
        min=0, max=1000,
    )  # fmt: skip

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.rig_of(context.object) is not None

    def invoke(self, context: Any, event: Any) -> set[str]:
        if self.properties.is_property_set("filepath"):  # a file that was dropped: only its options are open
            return context.window_manager.invoke_props_dialog(self, confirm_text="Import")
        return ImportHelper.invoke(self, context, event)

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.use_property_split = True
        self.draw_target(layout)
        layout.prop(self, "scale")
        layout.prop(self, "smooth")
        box = layout.box()
        box.label(text="Live Link Face (CSV)")
        for name in ("motion", "center", "rate"):
            box.prop(self, name)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        options = TakeOptions(
            takes.scene_fps(context.scene), self.scale, self.smooth, self.rate, self.motion, self.center
        )
        take, note = read_take(bpy.path.abspath(self.filepath), options)
        self.put(context, heads.rig_of(context.object), take, note)
        return {"FINISHED"}


class GSHEAD_OT_export_take(bpy.types.Operator, ExportHelper):
    """Write what the active head does over the frame range as a take, whatever animates it"""

    bl_idname = "gshead.export_take"
    bl_label = "Export Take"

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json;*.csv", options={"HIDDEN"})
    file_format: bpy.props.EnumProperty(name="Format", description="Kind of file", items=FORMATS, default=".json")

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.mesh_of(context.object) is not None

    def check(self, context: Any) -> bool:
        self.filename_ext = self.file_format
        return ExportHelper.check(self, context)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        mesh, scene, path = heads.mesh_of(context.object), context.scene, bpy.path.abspath(self.filepath)
        name = bpy.path.display_name_from_filepath(path)
        take = sample(context, mesh, played_frames(scene)).take(takes.scene_fps(scene), name)
        write_take(take, path)
        self.report({"INFO"}, f"Wrote {take.frame_count} frames, {len(take.channels)} channels to {self.filepath}")
        return {"FINISHED"}


class GSHEAD_FH_take(bpy.types.FileHandler):
    """Takes and recordings dropped into the viewport go to the active head"""

    bl_idname = "GSHEAD_FH_take"
    bl_label = "Take"
    bl_import_operator = "gshead.import_take"
    bl_file_extensions = ".json;.csv"

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D" and heads.rig_of(context.object) is not None


CLASSES = (GSHEAD_OT_import_take, GSHEAD_OT_export_take, GSHEAD_FH_take)
