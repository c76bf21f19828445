"""A head's own data: where its avatar lies, what is wrong with it, and bringing it up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .. import health, storage
from ..rig import update
from .scene import full_path, mesh_of, parts_of


def problems(head: Any) -> list[str]:
    """Sentences for what keeps a head from doing what its rig says, each with what to do; empty for most heads."""
    return health.problems(mesh_of(head))


def update_rig(head: Any) -> int:
    """Give a head of an earlier version the face board, with its animation; returns how many curves moved.

    Raises ``ArgumentError`` when it has the board, or comes from another file.
    """
    parts = parts_of(head)
    return update.update_rig(bpy.context, parts.rig, storage.read(parts.mesh.data).avatar)


def make_single_user(head: Any) -> None:
    """Give a linked duplicate a mesh of its own, so that its rig drives its expression. Raises ``ArgumentError``."""
    health.make_single_user(mesh_of(head))


def unpack_avatar(head: Any) -> str:
    """Write the avatar beside the .blend file and keep only its place and hash in it; returns the stored path.

    Raises ``ArgumentError`` when the .blend was never saved, ``ExportError``.
    """
    mesh = mesh_of(head)
    return storage.unpack(mesh.data, mesh.name)


def pack_avatar(head: Any) -> None:
    """Take the avatar into the .blend file again. Raises ``FileFormatError`` when its file is missing or another."""
    storage.pack(mesh_of(head).data)


def relink_avatar(head: Any, path: str | Path) -> bool:
    """Give a head its avatar's file again; one that lies elsewhere than below the .blend is packed.

    Returns whether it was packed. Raises ``FileFormatError`` when the file holds another avatar.
    """
    mesh = mesh_of(head)
    packed = storage.relink(mesh.data, full_path(path))
    mesh.update_tag()
    return packed
