"""Gaussian Head for scripts: what the operators do, as functions that block, return things and raise ``GsheadError``.

    from bl_ext.user_default.gshead import api

They work in a window and in background mode (``blender --background --python script.py``); docs/api.md has examples.
A *head* is what these functions return, or any object of one: its mesh or its armature. They use the current context's
scene. Frames are scene frames; lengths are metres; channel names are those of takes (docs/take.md).
"""

from __future__ import annotations

from ..rig.build import HeadObjects
from ..take_files import TakeOptions
from .animation import channels, export_take, import_take, key_table, reenact, set_channels
from .output import (
    add_camera,
    export_face,
    export_ply,
    export_splats,
    export_usd,
    import_usd,
    render_animation,
    render_still,
)
from .scene import attach, detach, heads, load, reconstruct, save, start_backend, stop_backend

__all__ = [
    "HeadObjects", "TakeOptions", "add_camera", "attach", "channels", "detach", "export_face", "export_ply",
    "export_splats", "export_take", "export_usd", "heads", "import_take", "import_usd", "key_table", "load",
    "reconstruct", "reenact", "render_animation", "render_still", "save", "set_channels", "start_backend",
    "stop_backend",
]  # fmt: skip
