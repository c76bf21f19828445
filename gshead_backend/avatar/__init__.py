"""One person: splats bound to a head, their file, and takes that animate them. Only numpy and safetensors.

Names are loaded on first use: Blender enables the extension without reading safetensors or msgspec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .file import avatar_from_bytes, avatar_to_bytes, describe_avatar, load_avatar, save_avatar
    from .take import Take, load_take, save_take
    from .take_table import take_from_table
    from .types import REGIONS, Avatar, DynamicResidual, Splats

__all__ = [
    "REGIONS",
    "Avatar",
    "DynamicResidual",
    "Splats",
    "Take",
    "avatar_from_bytes",
    "avatar_to_bytes",
    "describe_avatar",
    "load_avatar",
    "load_take",
    "save_avatar",
    "save_take",
    "take_from_table",
]

__getattr__ = lazy_names(__name__, {
    "file": ("avatar_from_bytes", "avatar_to_bytes", "describe_avatar", "load_avatar", "save_avatar"),
    "take": ("Take", "load_take", "save_take"),
    "take_table": ("take_from_table",),
    "types": ("REGIONS", "Avatar", "DynamicResidual", "Splats"),
})  # fmt: skip
