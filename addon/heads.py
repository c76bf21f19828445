"""Heads in a scene: adding one from ``.gshead`` bytes, finding them, and what a renderer needs of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from gshead_backend import avatar as avatars  # its names load safetensors and msgspec when they are first used
from gshead_backend.errors import FileFormatError
from gshead_backend.files import write_atomic

from . import lighting, storage
from .lamps import Lamp, lamp_of
from .rig.axes import head_to_world
from .rig.build import HeadObjects, build_head
from .rig.read_pose import HeadState, find_rig, read_state


@dataclass(frozen=True)
class PosedHead:
    """One visible head at the evaluated frame.

    Attributes:
        name: object name. uid: the object's ``session_uid``. stored: its avatar.
        matrix: (4, 4) head space to Blender's world. state: pose or vertices.
        warning: why the picture may differ from the mesh; empty when it does not.
        light: (9, 3) what lights it in head space (``lighting.light_on``), None for the photo's light.
        light_strength: 0 the photo's light .. 1 ``light``.
        receives_shadows: final frames show the scene's shadows on it. shadow: (V, 3), what they leave of its light.
    """

    name: str
    stored: storage.StoredAvatar
    matrix: np.ndarray
    state: HeadState
    uid: int
    warning: str = ""
    light: np.ndarray | None = None
    light_strength: float = 1.0
    receives_shadows: bool = False
    shadow: np.ndarray | None = None

    def is_at(self, original: Any, matrix_world: np.ndarray) -> bool:
        """Whether an instance in the depsgraph, an original object and its (4, 4) matrix, is this head."""
        return original.session_uid == self.uid and np.allclose(head_to_world(matrix_world), self.matrix)


def add_head(context: Any, data: bytes, name: str = "") -> HeadObjects:
    """Validate ``.gshead`` bytes, build the rig in the active collection and pack the bytes with it.

    Raises ``FileFormatError`` or ``HeadError`` before anything is added to the scene.
    """
    avatar = avatars.avatar_from_bytes(data)
    made = build_head(context, avatar, name or avatar.name or "Head")
    storage.attach(made.mesh.data, data)
    return made


def refine_head(uid: int, data: bytes) -> bool:
    """Give a head the splats of ``data`` and leave rig, keys and everything else of it alone.

    Args:
        uid: the ``session_uid`` of its mesh object, which outlives undo; a reference would not.
    Returns:
        False, with nothing changed, when that mesh is gone or ``data`` is a head of another shape.
    Raises:
        FileFormatError, HeadError: ``data`` is no avatar.
    """
    new = avatars.avatar_from_bytes(data)
    mesh = next((o for o in bpy.data.objects if o.session_uid == uid), None)
    if mesh is None or not storage.is_head(mesh):
        return False
    old = storage.read(mesh.data).avatar
    same = old.head.sha256 == new.head.sha256 and all(
        np.allclose(getattr(old, key), getattr(new, key), atol=1e-6) for key in ("betas", "vertex_offsets")
    )
    if not same:
        return False
    storage.attach(mesh.data, data)
    mesh.update_tag()
    return True


def load_head_file(context: Any, path: str | Path) -> HeadObjects:
    """``add_head`` from a ``.gshead`` file, named after it. Raises ``FileFormatError`` when it cannot be read."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    return add_head(context, data, path.stem)


def show_in_viewports(context: Any, made: HeadObjects) -> None:
    """Bring a new head, whose rig is selected, into view: in a new scene it stands inside Blender's default cube."""
    made.mesh.select_set(True)
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "VIEW_3D" or area.spaces.active.region_3d.view_perspective == "CAMERA":
                continue
            region = next(region for region in area.regions if region.type == "WINDOW")
            with context.temp_override(window=window, area=area, region=region):
                bpy.ops.view3d.view_selected()
    made.mesh.select_set(False)


def save_head_file(mesh: Any, path: str | Path) -> int:
    """Write the avatar packed with a head's mesh to ``path`` (atomically); returns the size in bytes."""
    data = storage.read_bytes(mesh)
    write_atomic(Path(path), data)
    return len(data)


def mesh_of(obj: Any) -> Any | None:
    """The head mesh object that ``obj`` is, or that the armature ``obj`` carries; None when it is no part of a head."""
    if obj is None:
        return None
    if storage.is_head(obj):
        return obj
    if obj.type == "ARMATURE":
        return next((child for child in obj.children_recursive if storage.is_head(child)), None)
    return None


def rig_of(obj: Any) -> Any | None:
    """The armature object of the head that ``obj`` belongs to, or None."""
    mesh = mesh_of(obj)
    return None if mesh is None else find_rig(mesh)


def visible_heads(
    depsgraph: Any, *, foreign: Callable[[Any], bool | None] | None = None, shown: Callable[[Any], bool] | None = None
) -> list[PosedHead]:
    """Every head that the depsgraph shows, collection instances included, read from evaluated data only.

    Args:
        foreign: whether anything but its rig deforms an original mesh object, None where that must be found out.
        shown: leaves out the original objects for which it is False.

    Raises ``GsheadError`` when an avatar cannot be read: a renderer must not leave a head out silently.
    """
    found, lights = [], []
    for instance in depsgraph.object_instances:
        obj = instance.object
        if instance.show_self and obj.type == "LIGHT":
            lights.append(lamp_of(obj.data, np.array(instance.matrix_world, np.float64)))
        if not instance.show_self or obj.type != "MESH" or not storage.is_head(obj.original):
            continue
        if shown is not None and not shown(obj.original):
            continue
        stored = storage.read(obj.original.data)
        matrix = head_to_world(np.array(instance.matrix_world, np.float64))
        state = read_state(
            obj, stored.avatar, depsgraph, foreign=None if foreign is None else foreign(obj.original)
        )  # fmt: skip
        warning = ""
        if state.vertex_count != stored.avatar.head.vertex_count:
            warning = (
                f"'{obj.name}' has {state.vertex_count} vertices after its modifiers instead of "
                f"{stored.avatar.head.vertex_count}: its splats follow the rig only. Modifiers that add or remove "
                "vertices cannot move them."
            )
        strength, shadows = lighting.scene_light_of(obj, stored.avatar, depsgraph)
        found.append(
            PosedHead(
                obj.original.name, stored, matrix, state, obj.original.session_uid, warning,
                light_strength=strength, receives_shadows=shadows,
            )
        )  # fmt: skip
    return [_lit(head, lights, depsgraph) if head.light_strength > 0 else head for head in found]


def _lit(head: PosedHead, lights: list[Lamp], depsgraph: Any) -> PosedHead:
    avatar = head.stored.avatar
    light = lighting.light_on(lights, depsgraph, avatar, head.matrix, head.state.pose.translation)
    return replace(head, light=light)
