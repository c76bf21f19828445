"""What Blender evaluated, back as a ``HeadPose``: rotations from the armature, expression from the shape keys.

Nothing here reads the user's properties: only evaluated data counts, so constraints, NLA, drivers and muted keys are
all seen as Blender sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gshead_backend.avatar.types import Avatar
from gshead_backend.head import PARENTS, HeadPose, PersonalHead
from gshead_backend.head.rotation import matrix_to_axis_angle

from .axes import matrix_to_head, to_head
from .layout import JOINT_BONES, shape_keys

# A rig whose evaluated mesh departs further than this (metres) from the pose's own vertices is sent as vertices.
DEVIATION = 5e-5


@dataclass(frozen=True)
class HeadState:
    """One evaluated head.

    Attributes:
        pose: what the armature and the shape keys say.
        vertices: (V, 3) float32 in head space when the mesh is deformed by anything else, None otherwise.
        deviation: metres, largest distance between the evaluated mesh and the pose's own vertices; infinite or 0 when
            the caller said whether there is any.
        vertex_count: of the evaluated mesh; another one than the head's cannot be compared nor sent.
    """

    pose: HeadPose
    vertices: np.ndarray | None
    deviation: float
    vertex_count: int


def find_rig(mesh_object: Any) -> Any | None:
    """The armature object that deforms a head's mesh: its Armature modifier's, or an armature parent."""
    for modifier in mesh_object.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            return modifier.object
    parent = mesh_object.parent
    return parent if parent is not None and parent.type == "ARMATURE" else None


def read_state(mesh_object: Any, avatar: Avatar, depsgraph: Any, *, foreign: bool | None = None) -> HeadState:
    """The head's state from an evaluated mesh object (or its original; it is evaluated here).

    Args:
        foreign: whether anything but the rig deforms the mesh, for a caller who knows; None compares every vertex.

    Raises nothing for foreign deformation: that is what ``HeadState.vertices`` is for. A mesh with another vertex
    count than the avatar's head (a Subdivision modifier, say) cannot be bound to and counts as undeformed.
    """
    evaluated = mesh_object.evaluated_get(depsgraph)
    rig = find_rig(evaluated.original)
    pose = read_pose(evaluated, rig.evaluated_get(depsgraph) if rig else None, avatar.personal, depsgraph)
    count = len(evaluated.data.vertices)
    if count != avatar.head.vertex_count or foreign is False:
        return HeadState(pose, None, 0.0, count)
    vertices = read_vertices(evaluated)
    if foreign:
        return HeadState(pose, vertices, np.inf, count)
    difference = vertices - avatar.personal.vertices(pose)
    deviation = float(np.sqrt(np.einsum("va,va->v", difference, difference).max(initial=0.0)))
    return HeadState(pose, vertices if deviation > DEVIATION else None, deviation, len(vertices))


def read_vertices(evaluated: Any) -> np.ndarray:
    """(V, 3) float32 head-space vertices of an evaluated mesh object, all modifiers applied."""
    mesh = evaluated.data
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    return to_head(flat.reshape(-1, 3))


def read_pose(evaluated: Any, rig: Any | None, person: PersonalHead, depsgraph: Any) -> HeadPose:
    """The pose of an evaluated mesh object and its evaluated armature object."""
    expression = read_expression(evaluated.original.data, person, depsgraph)
    if rig is None or any(name not in rig.pose.bones for name in JOINT_BONES):
        neutral = HeadPose.neutral(person.gain.size)
        return HeadPose(expression, *(getattr(neutral, f) for f in _JOINT_FIELDS), neutral.translation)
    rotations, translation = joint_rotations(rig, person)
    return HeadPose(
        expression, rotations[0], rotations[1], rotations[2], rotations[3:].reshape(6), translation
    )  # fmt: skip


_JOINT_FIELDS = ("global_orient", "neck_pose", "jaw_pose", "eye_pose")


def joint_rotations(rig: Any, person: PersonalHead) -> tuple[np.ndarray, np.ndarray]:
    """(5, 3) local axis-angles and (3,) translation in head space of an evaluated armature object.

    ``pose_bone.matrix @ bone.matrix_local^-1`` is what the Armature modifier applies to vertices; expressed in head
    space it is FLAME's skinning matrix of the joint whatever the bone's own rest axes are.
    """
    world = [_skinning(rig.pose.bones[name]) for name in JOINT_BONES]
    unit = np.stack([_rotation_part(m[:3, :3]) for m in world])
    local = np.stack([unit[j] if p < 0 else unit[p].T @ unit[j] for j, p in enumerate(PARENTS)])
    root = person.joints[0].astype(np.float64)
    translation = world[0][:3, :3] @ root + world[0][:3, 3] - root
    return matrix_to_axis_angle(local).astype(np.float32), translation.astype(np.float32)


def skinning_rotation(bone: Any) -> np.ndarray:
    """(3, 3) in head space: what an evaluated pose bone turns vertices by, against its rest."""
    return _rotation_part(_skinning(bone)[:3, :3])


def _skinning(bone: Any) -> np.ndarray:
    posed, rest = np.array(bone.matrix, np.float64), np.array(bone.bone.matrix_local, np.float64)
    return matrix_to_head(posed @ np.linalg.inv(rest))


def _rotation_part(matrix: np.ndarray) -> np.ndarray:
    """The nearest rotation to a (3, 3) matrix (polar decomposition)."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt


def read_expression(mesh: Any, person: PersonalHead, depsgraph: Any) -> np.ndarray:
    """(E,) float32 expression coefficients from the evaluated shape keys of an original mesh."""
    total = np.zeros(person.model.expression_count, np.float64)
    if mesh.shape_keys is None:
        return total.astype(np.float32)
    blocks = mesh.shape_keys.evaluated_get(depsgraph).key_blocks
    for key in shape_keys(person.model):
        block = blocks.get(key.name)
        if block is not None and not block.mute and block.value:
            total += block.value * key.expression
    return total.astype(np.float32)
