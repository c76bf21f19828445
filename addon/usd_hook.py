"""Splats in Blender's own *File > Export > USD*: a hook that adds them beside each exported head.

The hook reads the stage that Blender has just written and moves nothing in the scene, for it runs while Blender
exports: the mesh's points, skinned by UsdSkel where the armature was exported, drive the splats.
"""

from __future__ import annotations

from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import compat, storage

PROPERTY = "gshead_usd_splats"
CHOICES = (
    ("baked", "Baked Splats", "Splats with time samples"),
    ("half", "Baked Splats, Half", "The same with 16-bit numbers, half the size"),
    ("rig", "Splats at Start", "Splats of the first frame with their binding to the mesh"),
    ("none", "No Splats", "Meshes only"),
)


class GSHEAD_UH_splats(bpy.types.USDHook):
    """Gaussian splats beside each head in USD exports"""

    bl_idname = "gshead_usd_splats"
    bl_label = "Gaussian Heads"
    bl_description = "Write the splats of Gaussian heads beside their meshes"

    @staticmethod
    def on_export(context: Any) -> bool:
        scene = context.get_depsgraph().scene
        choice = getattr(scene, PROPERTY, "baked")
        if choice == "none" or not storage.any_head():
            return True
        heads_of = [obj for obj in scene.objects if storage.is_head(obj.original)]
        try:
            avatars = {obj.name: storage.read(obj.original.data).avatar for obj in heads_of}
            from .usd_hook_splats import add_splats

            for line in add_splats(compat.bundled_pxr(), context.get_stage(), avatars, choice):
                print(f"gshead: {line}")
        except GsheadError as error:
            print(f"gshead: no splats in the USD file: {error}")
            return False
        return True


def register() -> None:
    setattr(
        bpy.types.Scene, PROPERTY,
        bpy.props.EnumProperty(
            name="In USD Export", items=CHOICES, default="baked",
            description="What File > Export > USD writes of Gaussian heads besides their meshes",
        ),
    )  # fmt: skip
    bpy.utils.register_class(GSHEAD_UH_splats)


def unregister() -> None:
    bpy.utils.unregister_class(GSHEAD_UH_splats)
    delattr(bpy.types.Scene, PROPERTY)
