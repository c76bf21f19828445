"""Hanging a head on a bone of another armature, and taking it off again, without moving it."""

from __future__ import annotations

from typing import Any

from mathutils import Matrix

from gshead_backend.errors import ArgumentError

from . import heads

# What riggers call the bone that carries a head, the most certain first, in lower case: Rigify's deform and control
# bones, its metarig, Mixamo, Unreal.
HEAD_BONES = (
    "head",
    "def-head",
    "def-spine.006",
    "spine.006",
    "org-spine.006",
    "mixamorig:head",
    "def_head",
    "head_01",
)


def head_bone(armature: Any) -> str | None:
    """The bone that an armature object's head hangs on, judged by its name; None when no name tells."""
    names = {bone.name.lower(): bone.name for bone in armature.data.bones}
    return next((names[name] for name in HEAD_BONES if name in names), None)


def find_target(context: Any, rig: Any) -> tuple[Any, str] | None:
    """(armature object, bone name) to attach a head to: a selected armature's active bone, else its head's by name.

    With no other armature selected, the scene's only other one is taken. None when nothing fits.
    """
    others = [o for o in context.scene.objects if o.type == "ARMATURE" and o != rig and heads.mesh_of(o) is None]
    chosen = [o for o in others if o.select_get()] or (others if len(others) == 1 else [])
    for armature in chosen:
        active = armature.data.bones.active if armature.select_get() and armature.mode == "POSE" else None
        bone = active.name if active is not None else head_bone(armature)
        if bone is not None:
            return armature, bone
    return None


def choose(context: Any, rig: Any, armature: Any | None = None, bone: str = "") -> tuple[Any, str]:
    """(armature object, bone name) to attach a head to; what is not given is found as ``find_target`` does.

    Raises ``ArgumentError`` when nothing fits.
    """
    if armature is None:
        found = find_target(context, rig)
        if found is None:
            raise ArgumentError(
                "No other armature with a head bone was found.",
                remedy="Select an armature as well, with the bone active in Pose Mode.",
            )
        return found
    return armature, bone or (head_bone(armature) if armature.type == "ARMATURE" else None) or ""


def attach(context: Any, rig: Any, armature: Any, bone: str) -> None:
    """Parent a head's armature object to a bone as it is posed now. The head stays where it is and keeps its keys.

    Raises ``ArgumentError`` when there is no such bone, or when the armature itself hangs on the head.
    """
    if armature.type != "ARMATURE" or bone not in armature.pose.bones:
        raise ArgumentError(
            f"'{armature.name}' has no bone '{bone}'.", remedy="Select the armature, and the bone in Pose Mode."
        )
    if armature == rig or armature in rig.children_recursive:
        raise ArgumentError(f"'{armature.name}' hangs on the head itself.", remedy="Choose another armature.")
    context.view_layer.update()
    world = rig.matrix_world.copy()
    pose_bone = armature.pose.bones[bone]
    rig.parent, rig.parent_type, rig.parent_bone = armature, "BONE", bone
    if armature.data.bones[bone].use_relative_parent:
        rest = armature.data.bones[bone].matrix_local
        carrier = pose_bone.matrix @ rest.inverted()
    else:
        carrier = pose_bone.matrix @ Matrix.Translation((0, pose_bone.length, 0))
    # The inverse takes all of it, so that the object's own location, rotation and keys mean what they meant.
    rig.matrix_parent_inverse = (armature.matrix_world @ carrier).inverted() @ world @ rig.matrix_basis.inverted()
    context.view_layer.update()


def detach(context: Any, rig: Any) -> None:
    """Take a head off its parent; it stays where it is. Raises ``ArgumentError`` when it has none."""
    if rig.parent is None:
        raise ArgumentError(f"'{rig.name}' hangs on nothing.", remedy="There is nothing to detach.")
    context.view_layer.update()
    world = rig.matrix_world.copy()
    rig.parent, rig.parent_type, rig.parent_bone = None, "OBJECT", ""
    rig.matrix_parent_inverse = Matrix()
    rig.matrix_world = world
    context.view_layer.update()
