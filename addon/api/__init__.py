"""Gaussian Head for scripts: what the operators do, as functions that block, return things and raise ``GsheadError``.

    from bl_ext.user_default.gshead import api

They work in a window and in background mode (``blender --background --python script.py``); docs/api.md has examples.
A *head* is what these functions return, or any object of one: its mesh or its armature. They use the current context's
scene. Frames are scene frames; lengths are metres; channel names are those of takes (docs/take.md).
"""

from __future__ import annotations

from ..rig.build import HeadObjects
from ..take_files import TakeOptions
from .animation import (
    bake_controls,
    bake_shape_keys,
    channels,
    clear_pose,
    export_take,
    import_take,
    key_pose,
    key_table,
    reenact,
    remove_bake,
    set_channels,
)
from .output import (
    add_camera,
    add_to_compositor,
    export_face,
    export_ply,
    export_splats,
    export_usd,
    import_usd,
    keep_photo_colors,
    remove_from_compositor,
    render_animation,
    render_still,
)
from .scene import attach, detach, heads, load, reconstruct, save, set_light, start_backend, stop_backend
from .upkeep import make_single_user, pack_avatar, problems, relink_avatar, unpack_avatar, update_rig

__all__ = [
    "HeadObjects", "TakeOptions", "add_camera", "add_to_compositor", "attach", "bake_controls", "bake_shape_keys",
    "channels", "clear_pose", "detach", "export_face", "export_ply", "export_splats", "export_take", "export_usd",
    "heads", "import_take", "import_usd", "keep_photo_colors", "key_pose", "key_table", "load", "make_single_user",
    "pack_avatar", "problems", "reconstruct", "reenact", "relink_avatar", "remove_bake", "remove_from_compositor",
    "render_animation", "render_still", "save", "set_channels", "set_light", "start_backend", "stop_backend",
    "unpack_avatar", "update_rig",
]  # fmt: skip
