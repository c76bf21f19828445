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
    things = _Things(depsgraph)
    return [_shadow(head, found, around, things) if head.receives_shadows else None for head in heads]


def _shadow(head: PosedHead, found: list[lamps.Lamp], around: Any, things: _Things) -> np.ndarray | None:
    avatar = head.stored.avatar
    vertices = head.state.vertices
    if vertices is None:
        vertices = avatar.personal.vertices(head.state.pose)
    placed = vertices @ head.matrix[:3, :3].T + head.matrix[:3, 3]
    faces = avatar.head.faces
    if np.linalg.det(head.matrix[:3, :3]) < 0:  # mirrored: else its normals point inward
        faces = faces[:, ::-1]
    return shadows.left_of_light(
        placed.astype(np.float64), faces, found, around, lambda way: things.triangles(way, head)
    )


class _Things:
    """What may throw shadows in a depsgraph: where each instance is, at once; its triangles, when a way meets it.

    Scenes have many instances and few that stand between a head and a lamp, so each is read once a frame at most.
    """

    def __init__(self, depsgraph: Any) -> None:
        self._depsgraph = depsgraph
        self._loaded: dict[int, np.ndarray] = {}
        self._heads: list[tuple[int, Any, np.ndarray]] = []
        self._number: list[int] = []
        boxes: dict[int, np.ndarray] = {}
        local, matrices = [], []
        for number, instance in enumerate(depsgraph.object_instances):
            obj = instance.object
            if not instance.show_self or not can_cast(obj):
                continue
            key = obj.as_pointer()
            if key not in boxes:
                boxes[key] = np.array(obj.bound_box, np.float64)
            matrices.append(np.array(instance.matrix_world, np.float64))
            local.append(boxes[key])
            if storage.is_head(obj.original):
                self._heads.append((len(self._number), obj.original, matrices[-1]))
            self._number.append(number)
        M = np.array(matrices).reshape(-1, 4, 4)
        corners = np.einsum("nij,nkj->nki", M[:, :3, :3], np.array(local).reshape(-1, 8, 3)) + M[:, None, :3, 3]
        self._middle = corners.mean(1)
        self._radius = np.linalg.norm(corners - self._middle[:, None], axis=2).max(1, initial=0.0)

    def triangles(self, way: shadows.Way, head: PosedHead) -> np.ndarray:
        """(n, 3, 3) world-space triangles of everything but the head itself that reach into a way."""
        met = way.meets(self._middle, self._radius)
        for place, original, matrix in self._heads:
            met[place] &= not head.is_at(original, matrix)
        wanted = [self._number[place] for place in np.flatnonzero(met)]
        self._load({number for number in wanted if number not in self._loaded})
        made = [np.zeros((0, 3, 3))]
        for number in wanted:
            corners = self._loaded[number]
            centres = corners.mean(1)
            reach = np.linalg.norm(corners - centres[:, None], axis=2).max(1, initial=0.0)
            made.append(corners[way.meets(centres, reach)])
        return np.concatenate(made)

    def _load(self, numbers: set[int]) -> None:
        """Instances exist while they are iterated over only."""
        if not numbers:
            return
        for number, instance in enumerate(self._depsgraph.object_instances):
            if number in numbers:
                matrix = np.array(instance.matrix_world, np.float64)
                self._loaded[number] = _mesh_triangles(instance.object) @ matrix[:3, :3].T + matrix[:3, 3]


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
