"""The things of a scene that throw shadows on its heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import compat, lamps, shadows, storage, world
from .heads import PosedHead

SOLID = ("MESH", "CURVE", "SURFACE", "FONT", "META")


def can_cast(obj: Any) -> bool:
    """Whether rays of a render may meet an object."""
    return obj.type in SOLID and obj.visible_shadow


def shadows_on(heads: Sequence[PosedHead], depsgraph: Any) -> list[np.ndarray | None]:
    """For each head (V, 3) float32, 0 to 1, what the depsgraph's things leave of its vertices' light; None for all.

    Heads that do not receive shadows, or that a network draws, get None.
    """
    if not any(head.receives_shadows for head in heads):
        return [None] * len(heads)
    found = [
        lamps.lamp_of(instance.object.data, np.array(instance.matrix_world, np.float64))
        for instance in depsgraph.object_instances
        if instance.show_self and instance.object.type == "LIGHT"
    ]
    scene = depsgraph.scene_eval
    around = world.world_light(scene.world, compat.world_tree(scene.world))
    return [_shadow(head, found, around, depsgraph) if head.receives_shadows else None for head in heads]


def _shadow(head: PosedHead, found: list[lamps.Lamp], around: Any, depsgraph: Any) -> np.ndarray | None:
    avatar = head.stored.avatar
    vertices = head.state.vertices
    if vertices is None:
        vertices = avatar.personal.vertices(head.state.pose)
    placed = vertices @ head.matrix[:3, :3].T + head.matrix[:3, 3]
    faces = avatar.head.faces
    if np.linalg.det(head.matrix[:3, :3]) < 0:  # mirrored: else its normals point inward
        faces = faces[:, ::-1]
    return shadows.left_of_light(
        placed.astype(np.float64), faces, found, around, lambda way: _triangles(way, depsgraph, head)
    )


def _triangles(way: shadows.Way, depsgraph: Any, head: PosedHead) -> np.ndarray:
    """(n, 3, 3) world-space triangles of everything but the head itself that reach into a way."""
    made = [np.zeros((0, 3, 3))]
    for instance in depsgraph.object_instances:
        obj = instance.object
        if not instance.show_self or not can_cast(obj):
            continue
        matrix = np.array(instance.matrix_world, np.float64)
        if storage.is_head(obj.original) and head.is_at(obj.original, matrix):
            continue
        box = np.array(obj.bound_box, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        middle = box.mean(0)
        if not way.meets(middle[None], np.linalg.norm(box - middle, axis=1).max()[None])[0]:
            continue
        corners = _mesh_triangles(obj) @ matrix[:3, :3].T + matrix[:3, 3]
        centres = corners.mean(1)
        made.append(corners[way.meets(centres, np.linalg.norm(corners - centres[:, None], axis=2).max(1))])
    return np.concatenate(made)


def _mesh_triangles(obj: Any) -> np.ndarray:
    """(n, 3, 3) of an evaluated object, in its own space."""
    mesh = obj.data if obj.type == "MESH" else obj.to_mesh()
    if mesh is None:
        return np.zeros((0, 3, 3))
    try:
        mesh.calc_loop_triangles()
        places = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", places)
        index = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", index)
        return places.reshape(-1, 3)[index].reshape(-1, 3, 3).astype(np.float64)
    finally:
        if obj.type != "MESH":
            obj.to_mesh_clear()
