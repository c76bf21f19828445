"""Splats for the heads of a USD stage that Blender wrote, from the stage alone. No bpy here; ``pxr`` is handed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gshead_backend.avatar.drive import drive_vertices
from gshead_backend.avatar.types import Avatar
from gshead_backend.export.usd_splats import SplatWriter
from gshead_backend.export.usd_stage import usd_modules

from .usd_hook_pose import PoseReader


def add_splats(pxr: Any, stage: Any, avatars: Mapping[str, Avatar], choice: str) -> list[str]:
    """Add a splat prim beside the mesh of each head; returns what could not be done, in words.

    Args:
        avatars: by object name. choice: "baked", "half" or "rig".
    """
    usd = usd_modules(pxr)
    notes, meshes = [], _meshes(usd, stage)
    for name, avatar in avatars.items():
        if avatar.portrait is not None:
            notes.append(f"'{name}' is drawn by a network and has no splats to write.")
            continue
        mesh = next((m for m in meshes if _is(usd, m, name)), None)
        if mesh is None:
            notes.append(f"'{name}' is not in the USD file, and neither are its splats.")
            continue
        points = mesh.GetPointsAttr()
        count = len(points.Get(points.GetTimeSamples()[0] if points.GetNumTimeSamples() else 0) or [])
        if count != avatar.head.vertex_count:
            notes.append(
                f"'{name}' has {count} vertices in the USD file instead of {avatar.head.vertex_count}: its splats are "
                "left out. Modifiers that add or remove vertices cannot move them."
            )
            continue
        note = _write(usd, stage, mesh, avatar, choice)
        if note:
            notes.append(f"'{name}': {note}")
    return notes


def _meshes(usd: Any, stage: Any) -> list[Any]:
    return [usd.UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(usd.UsdGeom.Mesh)]


def _is(usd: Any, mesh: Any, name: str) -> bool:
    """Whether a mesh prim is the export of the object of that name: Blender keeps names, else makes them valid."""
    valid = {usd.Tf.MakeValidIdentifier(name), re.sub(r"\W", "_", name)}
    at = mesh.GetPrim()
    for prim in (at, at.GetParent()):
        authored = prim.GetAttribute("userProperties:blender:object_name")
        if (authored and authored.Get() == name) or prim.GetName() in valid:
            return True
    return False


def _write(usd: Any, stage: Any, mesh: Any, avatar: Avatar, choice: str) -> str:
    """Author the splats of one head; returns what of its appearance is lost, in words."""
    parent = mesh.GetPrim().GetParent()
    while parent.GetTypeName() == "SkelRoot":  # readers take what lies below for part of the skinned model
        parent = parent.GetParent()
    stem = f"{usd.Tf.MakeValidIdentifier(avatar.name)}_Splats"
    path = parent.GetPath().AppendChild(stem)
    writer = SplatWriter(usd, stage, str(path), avatar, "half" if choice == "half" else "float")
    times, poses = _times(usd, stage), PoseReader(usd, mesh, avatar)
    for time in times[:1] if choice == "rig" else times:
        vertices = _points(usd, mesh, parent, time)
        still = len(times) == 1 or choice == "rig"
        writer.write(drive_vertices(avatar, vertices, poses.at(time)), None if still else time.GetValue())
    if choice == "rig":  # what carries the splats elsewhere needs it for every frame
        for time in times:
            if (pose := poses.at(time)) is not None:
                writer.write_code(pose, time.GetValue())
    return poses.lost


def _times(usd: Any, stage: Any) -> list[Any]:
    if not stage.HasAuthoredTimeCodeRange():
        return [usd.Usd.TimeCode.EarliestTime()]
    first, last = stage.GetStartTimeCode(), stage.GetEndTimeCode()
    return [usd.Usd.TimeCode(float(t)) for t in np.arange(np.ceil(first), np.floor(last) + 1)]


def _points(usd: Any, mesh: Any, parent: Any, time: Any) -> np.ndarray:
    """(V, 3) what the mesh shows at a time, in the space of ``parent``.

    Splats follow triangles, so they come out right in any space that is turned, moved or evenly scaled.
    """
    cache = usd.UsdGeom.XformCache(time)
    points = np.asarray(mesh.GetPointsAttr().Get(time), np.float64)
    source = mesh.GetPrim()
    root = usd.UsdSkel.Root.Find(mesh.GetPrim())
    if root:
        skel = usd.UsdSkel.Cache()
        skel.Populate(root, usd.Usd.TraverseInstanceProxies())
        query = skel.GetSkinningQuery(mesh.GetPrim())
        skeleton = usd.UsdSkel.BindingAPI(mesh.GetPrim()).GetInheritedSkeleton()
        if query and skeleton:
            player = skel.GetSkelQuery(skeleton)
            shaped = usd.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(points, np.float32))
            _add_blend_shapes(usd, query, player, shaped, time)
            if query.HasJointInfluences():
                query.ComputeSkinnedPoints(player.ComputeSkinningTransforms(time), shaped, time)
                source = skeleton.GetPrim()
            points = np.asarray(shaped, np.float64)
    to_world = np.array(cache.GetLocalToWorldTransform(source))
    to_parent = to_world @ np.linalg.inv(np.array(cache.GetLocalToWorldTransform(parent)))
    return (np.column_stack([points, np.ones(len(points))]) @ to_parent)[:, :3]


def _add_blend_shapes(usd: Any, query: Any, player: Any, points: Any, time: Any) -> None:
    animation = player.GetAnimQuery()
    if not animation or not query.HasBlendShapes():
        return
    weights = animation.ComputeBlendShapeWeights(time)
    if mapper := query.GetBlendShapeMapper():
        weights = mapper.Remap(weights)
    shapes = usd.UsdSkel.BlendShapeQuery(usd.UsdSkel.BindingAPI(query.GetPrim()))
    sub_weights, shape_indices, sub_indices = shapes.ComputeSubShapeWeights(weights)
    shapes.ComputeDeformedPoints(
        sub_weights, shape_indices, sub_indices, shapes.ComputeBlendShapePointIndices(),
        shapes.ComputeSubShapePointOffsets(), points,
    )  # fmt: skip
