"""What the cases of a head's life share: one head in a file, what is seen of it, and running every case by its name."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import common
import render_setup

OUT = Path(common.ARGS["out"])
Case = Callable[[], dict[str, Any]]


def texts() -> int:
    return len([t for t in bpy.data.texts if t.name.startswith(".gshead")])


def states() -> dict[str, Any]:
    found = common.module("heads").visible_heads(bpy.context.evaluated_depsgraph_get())
    return {head.name: head for head in found}


def jaw(head: Any) -> float:
    return round(float(abs(head.state.pose.jaw_pose).max()), 4)


def open_jaw(rig: Any, value: float) -> None:
    common.module("rig.controls").set_channels(rig, {"jawOpen": value})
    rig.update_tag()
    bpy.context.view_layer.update()


def jaws() -> dict[str, float]:
    return {name: jaw(head) for name, head in states().items()}


def ada() -> tuple[Any, Any]:
    return bpy.data.objects["Ada"], bpy.data.objects["Ada Rig"]


def select(*objects: Any) -> None:
    for obj in bpy.context.scene.objects:
        obj.select_set(obj in objects)
    bpy.context.view_layer.objects.active = objects[-1]


def fresh() -> tuple[Any, Any]:
    """One head, Ada, in an otherwise empty file."""
    common.enable()
    made = common.module("heads").add_head(bpy.context, render_setup.tiny_bytes(), "Ada")
    bpy.context.view_layer.update()
    return made.mesh, made.rig


def saved() -> Path:
    """A file with one head in a collection, its jaw half open."""
    mesh, rig = fresh()
    open_jaw(rig, 0.5)
    collection = bpy.data.collections.new("Cast")
    bpy.context.scene.collection.children.link(collection)
    for obj in (mesh, rig):
        for user in obj.users_collection:
            user.objects.unlink(obj)
        collection.objects.link(obj)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "cast.blend"))
    return OUT / "cast.blend"


def said(call: Callable[[], Any]) -> str:
    """What an operator refuses with."""
    try:
        call()
    except Exception as error:
        return str(error)
    return ""


def run(cases: Sequence[Case]) -> None:
    """Report what each case saw, or why it failed."""

    def main() -> None:
        seen = {}
        for case in cases:
            try:
                seen[case.__name__] = case()
            except Exception as error:
                seen[case.__name__] = {"failed": "".join(traceback.format_exception(error))}
        common.report(**seen)

    common.run(main)
