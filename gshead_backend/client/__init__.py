"""gshead for scripts outside Blender: a photo to a head, a head to pictures, over a running or new backend.

docs/api.md shows it at work. A light room: standard library, numpy, msgspec, pyzmq and safetensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .connection import Connection, connect, connect_or_start
    from .head import Head
    from .pictures import srgb8, write_picture

__all__ = ["Connection", "Head", "connect", "connect_or_start", "srgb8", "write_picture"]

__getattr__ = lazy_names(__name__, {
    "connection": ("Connection", "connect", "connect_or_start"), "head": ("Head",),
    "pictures": ("srgb8", "write_picture"),
})  # fmt: skip
