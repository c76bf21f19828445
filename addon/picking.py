"""Selecting a head by a click on its splats.

Blender's own picking knows nothing of them: while they are drawn their mesh is a box, and a click goes through it to
whatever stands behind. What Blender would pick still goes first where it lies before the head or is drawn as lines.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import region_2d_to_origin_3d, region_2d_to_vector_3d

from . import storage, ticker
from .rig.read_pose import find_rig
from .texels import alpha_at

_TOUCH = 0.004  # metres from a vertex within which a ray goes through a mesh: its vertices are as close
_BEFORE = 0.02  # metres by which something must be nearer than the mesh to hide what is drawn there
_SURFACES = ("MESH", "CURVE", "SURFACE", "META", "FONT", "POINTCLOUD", "CURVES", "VOLUME")


def covered(region: Any, x: float, y: float) -> bool:
    """Whether splats cover a pixel of a viewport's region, counted from its lower left corner, by half or more."""
    pictures = [view.picture for view in ticker.views if view.region == region.as_pointer()]
    at = (x + 0.5) / region.width, 1 - (y + 0.5) / region.height
    return any(p.shown is not None and alpha_at(p.shown, *at) >= 0.5 for p in pictures)


def head_at(context: Any, x: float, y: float) -> Any | None:
    """The object that carries the head drawn at a pixel: its rig, or its mesh where the rig cannot be selected.

    None where no head is drawn, something stands before it, or it is only an instance of a collection.
    """
    region, view = context.region, context.region_data
    if not covered(region, x, y):
        return None
    origin, direction = (np.array(f(region, view, (x, y))) for f in (region_2d_to_origin_3d, region_2d_to_vector_3d))
    depsgraph = context.evaluated_depsgraph_get()
    found = [
        (*_along(obj.evaluated_get(depsgraph), origin, direction), obj)
        for obj in context.view_layer.objects
        if storage.is_head(obj) and obj.visible_get() and obj.visible_in_viewport_get(context.space_data)
    ]
    if not found:
        return None
    _, depth, mesh = min(found, key=lambda one: (max(one[0], _TOUCH), one[1]))
    hit, place, *_ = context.scene.ray_cast(depsgraph, origin, direction)
    if hit and (np.array(place) - origin) @ direction < depth - _BEFORE:
        return None
    if view.use_clip_planes:
        point = np.append(origin + depth * direction, 1.0)
        if (np.array(view.clip_planes)[:4] @ point < 0).any():
            return None
    return _selectable(context, mesh)


def pick(context: Any, x: int, y: int, *, extend: bool = False) -> bool:
    """Select as a click at a pixel does, heads included; whether a head is drawn there and so anything was done.

    Args:
        extend: keep the selection and turn what is clicked around, as Shift does.
    """
    head = head_at(context, x, y)
    if head is None:
        return False
    before = list(context.selected_objects), context.view_layer.objects.active
    bpy.ops.view3d.select(location=(x, y), deselect_all=True)
    drawn = next(iter(context.selected_objects), None)
    chosen = head if drawn is None or _behind(drawn) else drawn
    bpy.ops.object.select_all(action="DESELECT")
    for obj in before[0] if extend else ():
        obj.select_set(True)
    active = extend and chosen == before[1] and chosen in before[0]
    chosen.select_set(not active)
    context.view_layer.objects.active = chosen
    return True


def _along(evaluated: Any, origin: np.ndarray, direction: np.ndarray) -> tuple[float, float]:
    """Metres from a ray to a mesh's nearest vertex, and along the ray to the first that it as good as touches."""
    mesh = evaluated.data
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    matrix = np.array(evaluated.matrix_world)
    points = flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3] - origin
    along = points @ direction
    beside = np.linalg.norm(points - along[:, None] * direction, axis=1)
    nearest = float(beside.min(initial=np.inf))
    touched = beside <= max(nearest, _TOUCH)
    return nearest, float(along[touched].min(initial=np.inf))


def _selectable(context: Any, mesh: Any) -> Any | None:
    rig = find_rig(mesh)
    there = [o for o in (rig, mesh) if o is not None and o.name in context.view_layer.objects]
    return next((o for o in there if o.visible_get() and not o.hide_select), None)


def _behind(obj: Any) -> bool:
    """Whether what Blender picked is a surface, which then lies behind the head, or part of a head."""
    return storage.is_head(obj) or (obj.type in _SURFACES and obj.display_type not in ("WIRE", "BOUNDS"))
