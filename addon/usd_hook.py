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


def write_splats(context: Any) -> bool:
    """Add the splats of the exported scene's heads to the stage; False when none could be written, and says why."""
    scene = context.get_depsgraph().scene
    choice = getattr(scene, PROPERTY, "baked")
    if choice == "none" or not storage.any_head():
        return True
    try:
        heads = [obj for obj in scene.objects if storage.is_head(obj.original)]
        avatars = {obj.name: storage.read(obj.original.data).avatar for obj in heads}
        from .usd_hook_splats import add_splats

        for line in add_splats(compat.bundled_pxr(), context.get_stage(), avatars, choice):
            print(f"gshead: {line}")
    except GsheadError as error:
        print(f"gshead: no splats in the USD file: {error}")
        return False
    return True


def _hook() -> type | None:
    """The hook's class, where Blender has USD."""
    base = compat.usd_hook_class()
    if base is None:
        return None
    members = {
        "__doc__": "Gaussian splats beside each head in USD exports",
        "bl_idname": "gshead_usd_splats",
        "bl_label": "Gaussian Heads",
        "bl_description": "Write the splats of Gaussian heads beside their meshes",
        "on_export": staticmethod(write_splats),
    }
    return type("GSHEAD_UH_splats", (base,), members)


_registered: list[type] = []


def register() -> None:
    setattr(
        bpy.types.Scene, PROPERTY,
        bpy.props.EnumProperty(
            name="In USD Export", items=CHOICES, default="baked",
            description="What File > Export > USD writes of Gaussian heads besides their meshes",
        ),
    )  # fmt: skip
    if (hook := _hook()) is not None:
        bpy.utils.register_class(hook)
        _registered.append(hook)


def unregister() -> None:
    while _registered:
        bpy.utils.unregister_class(_registered.pop())
    delattr(bpy.types.Scene, PROPERTY)
