"""Names and tooltips of what is registered, the panels' order, errors, Check Installation, twenty registrations."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path
from typing import Any

import bpy
import common

SMALL = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "on", "or", "per", "the", "to", "with"}


def in_title_case(label: str) -> bool:
    words = [w for part in label.split() for w in part.split("/") if w[:1].isalpha()]
    return bool(words) and all(w[0].isupper() or (k and w in SMALL) for k, w in enumerate(words))


def ours() -> list[Any]:
    """Every registered class of the extension."""
    kinds = (bpy.types.Operator, bpy.types.Panel, bpy.types.FileHandler, bpy.types.AddonPreferences)
    found = {c for kind in kinds for c in _below(kind) if c.__module__.startswith(common.PACKAGE)}
    return sorted((c for c in found if getattr(c, "is_registered", False)), key=lambda c: c.__name__)


def _below(kind: type) -> set[type]:
    return {c for sub in kind.__subclasses__() for c in (sub, *_below(sub))}


def conventions() -> list[str]:
    """What does not read as Blender's own interface does."""
    wrong = []
    for cls in ours():
        rna = cls.bl_rna
        if issubclass(cls, bpy.types.AddonPreferences):
            properties = [(cls.__name__, p) for p in rna.properties if p.identifier in cls.__annotations__]
        else:
            if not in_title_case(cls.bl_label):
                wrong.append(f"{cls.__name__}: label {cls.bl_label!r}")
            if issubclass(cls, bpy.types.Operator):
                rna = getattr(bpy.ops.gshead, cls.bl_idname.split(".")[1]).get_rna_type()
                if not cls.__name__.startswith("GSHEAD_OT_"):
                    wrong.append(f"{cls.__name__}: name")
                check(wrong, cls.__name__, rna.description)
            names = {
                n for c in cls.__mro__ if c.__module__.startswith(common.PACKAGE) for n in inspect.get_annotations(c)
            }
            properties = [(cls.__name__, p) for p in rna.properties if p.identifier in names]
        for owner, prop in properties:
            if prop.is_hidden or prop.identifier in ("filepath", "filter_glob"):
                continue
            if not in_title_case(prop.name):
                wrong.append(f"{owner}.{prop.identifier}: name {prop.name!r}")
            check(wrong, f"{owner}.{prop.identifier}", prop.description)
            for item in prop.enum_items if prop.type == "ENUM" else ():
                check(wrong, f"{owner}.{prop.identifier}.{item.identifier}", item.description)
    return wrong


def check(wrong: list[str], where: str, tooltip: str) -> None:
    if not tooltip or (not tooltip[0].isupper() and not tooltip[0].isdigit()):
        wrong.append(f"{where}: tooltip {tooltip!r} does not start as a sentence")
    elif tooltip.endswith("."):
        wrong.append(f"{where}: tooltip {tooltip!r} ends with a full stop")


def leavings() -> dict[str, Any]:
    """Everything that registering leaves somewhere."""
    handlers = {
        name: len(getattr(bpy.app.handlers, name))
        for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list)
    }
    keymaps = bpy.context.window_manager.keyconfigs.addon
    return {
        "classes": [c.__name__ for c in ours()], "handlers": handlers,
        "scene": hasattr(bpy.types.Scene, "gshead_overlay"),
        "bone": hasattr(bpy.types.PoseBone, "gshead_value"),
        "engines": sum("GSHEAD" in getattr(p, "COMPAT_ENGINES", ()) for p in bpy.types.Panel.__subclasses__()),
        "keymaps": sum(len(k.keymap_items) for k in keymaps.keymaps) if keymaps else 0,
        "threads": len([t for t in threading.enumerate() if t.name.startswith("gshead")]),
        "popover": len(getattr(bpy.types.VIEW3D_PT_overlay_object.draw, "_draw_funcs", ())),
    }  # fmt: skip


def registered_often() -> dict[str, Any]:
    first = leavings()
    for _ in range(20):
        bpy.ops.preferences.addon_disable(module=common.PACKAGE)
        off = leavings()
        bpy.ops.preferences.addon_enable(module=common.PACKAGE)
    return {"first": first, "off": off, "last": leavings()}


def top_panels() -> list[str]:
    panels = [c for c in common.module("panels").CLASSES if not getattr(c, "bl_parent_id", "")]
    return [c.bl_label for c in sorted(panels, key=lambda c: getattr(c, "bl_order", 0))]


def errors() -> dict[str, Any]:
    photo = Path(common.ARGS["out"]) / "Some One.jpg"
    try:
        bpy.ops.gshead.reconstruct(filepath=str(photo))
        said = ""
    except RuntimeError as error:
        said = str(error)
    problems, runtime = common.module("operators.problems"), common.module("runtime")
    text = common.module("problem").details(problems.current(), problems.facts())
    kept = runtime.problem.code, runtime.problem.what
    bpy.ops.gshead.dismiss_problem()
    return {"said": said, "details": text, "kept": kept, "dismissed": problems.current() is None}


def checkup() -> dict[str, Any]:
    runtime = common.module("runtime")
    bpy.ops.gshead.check_installation()
    good = [(c.name, c.status) for c in runtime.checkup.checks]
    preferences = bpy.context.preferences.addons[common.PACKAGE].preferences
    failures = []
    import os

    del os.environ["GSHEAD_BACKEND_COMMAND"]
    for command in ("/nowhere/gshead serve", "python3 -c pass", '["/bin/echo", "serve"]'):
        preferences.backend_command = command
        try:
            bpy.ops.gshead.check_installation()
            failures.append("")
        except RuntimeError as error:
            failures.append(str(error))
    preferences.backend_command = "/nowhere/gshead serve"
    return {"good": good, "failures": failures, "missing": runtime.backend_missing()}


def main() -> None:
    common.enable()
    handlers = [c for c in ours() if issubclass(c, bpy.types.FileHandler)]
    common.report(
        wrong=conventions(), panels=top_panels(), errors=errors(), checkup=checkup(), registered=registered_often(),
        operators=sum(issubclass(c, bpy.types.Operator) for c in ours()),
        dropped={c.__name__: [c.bl_import_operator, c.bl_file_extensions] for c in handlers},
    )  # fmt: skip


common.run(main)
