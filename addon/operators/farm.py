"""Submit to Farm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .. import farm_submit
from .reporting import reports_errors

KINDS = (
    ("openjd", "Open Job Description", "A job bundle: 'openjd run', AWS Deadline Cloud"),
    ("slurm", "Slurm", "A batch script with a job array: 'sbatch job.sh'"),
    ("flamenco", "Flamenco 3", "A job type for the manager's scripts folder"),
)


class GSHEAD_OT_submit_to_farm(bpy.types.Operator):
    """Write this scene as a job for a render farm: a copy of the file and what the farm's manager reads"""

    bl_idname = "gshead.submit_to_farm"
    bl_label = "Submit to Farm"

    directory: bpy.props.StringProperty(
        name="Folder", description="Where the job is written", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    kind: bpy.props.EnumProperty(name="Farm", description="What the job is written for", items=KINDS)
    chunk: bpy.props.IntProperty(
        name="Frames per Task", description="What one start of Blender renders", default=8, min=1, max=10000
    )
    extension: bpy.props.StringProperty(
        name="Extension", description="Path of the extension's zip on the workers; empty where it is enabled there",
    )  # fmt: skip
    use_gpu: bpy.props.BoolProperty(name="GPU", description="A task asks for one GPU", default=False)

    def invoke(self, context: Any, event: Any) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        folder = Path(bpy.path.abspath(self.directory))
        files = farm_submit.submit(
            context, folder, self.kind, chunk=self.chunk, extension=self.extension, gpu=self.use_gpu
        )
        self.report({"INFO"}, f"Wrote {len(files)} files to {folder}")
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_submit_to_farm,)
