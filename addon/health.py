"""What keeps a head from doing what its rig says, in words; and giving a linked duplicate an expression of its own."""

from __future__ import annotations

from typing import Any

from gshead_backend.errors import ArgumentError, GsheadError

from . import storage
from .rig.layout import JOINT_BONES
from .rig.read_pose import find_rig


def problems(mesh: Any) -> list[str]:
    """Sentences for everything that is wrong with a head's mesh object, each with what to do; empty for most heads."""
    try:
        head = storage.read(mesh.data).avatar.head
    except GsheadError as error:
        return [str(error)]
    found = []
    count = len(mesh.data.vertices)
    if count != head.vertex_count:
        found.append(
            f"'{mesh.name}' has {count} vertices, its avatar's head {head.vertex_count}: it was joined or its topology "
            "was changed. Its splats follow the bones only. Undo that, or load the avatar again."
        )
    rig = find_rig(mesh)
    if rig is None:
        return [*found, f"'{mesh.name}' has no rig. Give its Armature modifier one, or load the avatar again."]
    if missing := [name for name in JOINT_BONES if name not in rig.pose.bones]:
        found.append(
            f"'{rig.name}' has no bone {', '.join(map(repr, missing))}: the splats stay at rest. "
            "Give the bones their names back."
        )
    if (driver := expression_rig(mesh)) is not None and driver != rig:
        found.append(f"'{mesh.name}' is a linked duplicate: its expression is that of '{driver.name}'.")
    return found


def drawn_by_network(mesh: Any) -> bool:
    """Whether a network draws a head: its picture knows the photo's light alone."""
    try:
        return storage.read(mesh.data).avatar.portrait is not None
    except GsheadError:
        return False


def expression_rig(mesh: Any) -> Any | None:
    """The armature object whose channels drive a head's shape keys, or None when nothing does."""
    targets = (target for _, target in _driver_targets(mesh))
    return next((target.id for target in targets if target.id is not None), None)


def shares_expression(mesh: Any) -> bool:
    """Whether the shape keys of a head follow another rig than its own, as those of a linked duplicate do."""
    driver, rig = expression_rig(mesh), find_rig(mesh)
    return driver is not None and rig is not None and driver != rig


def make_single_user(mesh: Any) -> None:
    """Give a head a mesh of its own, whose shape keys follow its own rig; the avatar stays shared.

    Raises ``ArgumentError`` when it has no rig, or comes from another file.
    """
    rig = find_rig(mesh)
    if rig is None or not mesh.is_editable:
        raise ArgumentError(
            f"'{mesh.name}' {'has no rig' if rig is None else 'is linked from another file'}.",
            remedy="Duplicate the head with its rig." if rig is None else "Make a library override of it first.",
        )
    if mesh.data.users > 1:
        mesh.data = mesh.data.copy()
    for driver, target in _driver_targets(mesh):
        if target.id is not None and target.id != rig:
            target.id = rig
            driver.expression = driver.expression


def _driver_targets(mesh: Any) -> list[tuple[Any, Any]]:
    keys = mesh.data.shape_keys
    curves = keys.animation_data.drivers if keys is not None and keys.animation_data is not None else ()
    return [
        (curve.driver, target) for curve in curves for variable in curve.driver.variables for target in variable.targets
    ]
