"""Enabling loads little; enabling, using and disabling again and again leaves nothing behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import Any

import bpy
import common

HEAVY = ("zmq", "msgspec", "safetensors", "lz4", "simplejpeg", "pxr", "asyncio", "torch", "cv2")
BASES = ("Operator", "Panel", "Menu", "UIList", "RenderEngine", "KeyingSetInfo", "AddonPreferences", "FileHandler",
         "PropertyGroup", "Header", "Gizmo", "GizmoGroup")  # fmt: skip


def traces() -> dict[str, Any]:
    """Everything that an extension can leave behind in Blender."""
    handlers = {
        name: len(found) for name in dir(bpy.app.handlers) if isinstance(found := getattr(bpy.app.handlers, name), list)
    }
    registered = {name: [c.__name__ for c in getattr(bpy.types, name).__subclasses__() if c.is_registered]
                  for name in BASES if hasattr(bpy.types, name)}  # fmt: skip
    engines = sum("GSHEAD" in getattr(panel, "COMPAT_ENGINES", ()) for panel in bpy.types.Panel.__subclasses__())
    menus = {
        name: len(functions)
        for name in dir(bpy.types)
        if (functions := getattr(getattr(getattr(bpy.types, name), "draw", None), "_draw_funcs", None)) is not None
    }
    keymaps = bpy.context.window_manager.keyconfigs
    return {
        "handlers": handlers,
        "classes": {name: sorted(classes) for name, classes in registered.items()},
        "panels": engines,
        "menus": {name: count for name, count in menus.items() if count},
        "properties": [name for name in dir(bpy.types) if "gshead" in name.lower()]
        + [
            f"{t}.{p}"
            for t in ("PoseBone", "Object", "Scene", "WindowManager", "Mesh", "Armature", "World")
            for p in dir(getattr(bpy.types, t))
            if "gshead" in p
        ],
        "operators": list(dir(bpy.ops.gshead)) if "gshead" in dir(bpy.ops) else [],
        "keys": sum(len(m.keymap_items) for c in keymaps for m in c.keymaps) if keymaps else 0,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "sockets": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
    }


def main() -> None:
    common.enable()
    loaded = sorted(name for name in HEAVY if name in sys.modules)
    used = bpy.ops.gshead.load_avatar(filepath=common.ARGS["avatar"])
    bpy.ops.preferences.addon_disable(module=common.PACKAGE)
    before, during, after = [], [], []
    for turn in range(20):
        gc.collect()
        before.append(traces())
        bpy.ops.preferences.addon_enable(module=common.PACKAGE)
        if turn in (0, 10):
            bpy.ops.gshead.load_avatar(filepath=common.ARGS["avatar"])
            bpy.ops.gshead.start_backend()
            assert common.module("runtime").session.state == "ready"
        else:
            during.append(traces())
        bpy.ops.preferences.addon_disable(module=common.PACKAGE)
        bpy.data.batch_remove(bpy.data.objects)
        bpy.ops.outliner.orphans_purge(do_recursive=True)
        gc.collect()
        after.append(traces())
    common.report(
        loaded=loaded, used=list(used), changed=sorted(k for k in after[-1] if after[-1][k] != after[1][k]),
        left=sorted(name for names in after[-1]["classes"].values() for name in names if "GSHEAD" in name.upper()),
        hooks=[after[-1]["properties"], after[-1]["panels"], after[-1]["menus"] == before[0]["menus"],
               after[-1]["handlers"] == before[0]["handlers"]],
        same=all(d == during[0] for d in during[:9]) and all(d == during[9] for d in during[9:]),
        enabled=[len(during[0]["classes"]["Operator"]), during[0]["panels"]],
        details={k: [after[1][k], after[-1][k]] for k in after[-1] if after[-1][k] != after[1][k]},
    )  # fmt: skip


common.run(main)
