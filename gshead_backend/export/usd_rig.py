"""The head mesh with its UsdSkel rig: five joints, blend shapes named as the head's expressions, one animation.

UsdSkel deforms as the head model does: points plus weighted blend-shape offsets, then linear blend skinning. So
``jawOpen`` needs both the jaw joint's rotation and the (residual) blend shape of that name; the animation has both.
FLAME's pose correctives become 36 further blend shapes whose weights follow the joint rotations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..head import JOINT_NAMES, PARENTS, HeadPose, PersonalHead, joint_transforms
from ..head.rotation import axis_angle_to_matrix, matrix_to_quat
from .usd_splats import SCHEMA_VERSION
from .usd_stage import bounds, set_value, to_floats, to_ints, to_matrix, to_quats, to_vec3

_SMALLEST_OFFSET = 2e-7  # metres; over all shapes together still far below a micrometre


class RigWriter:
    """Authors ``path`` (SkelRoot) with Mesh and Skeleton at once, and its animation frame by frame.

    ``sculpts`` are (V, 3) offsets from :func:`sculpt_offsets`, one for each frame that is deformed by more than its
    pose: each becomes a blend shape of its own that is 1 on that frame. (Readers take a skinned mesh's points without
    time, so time samples of the points would not play.)
    """

    def __init__(
        self, usd: Any, stage: Any, path: str, head: PersonalHead, *, purpose: str,
        sculpts: Sequence[np.ndarray] = (),
    ) -> None:  # fmt: skip
        self._usd, self._head = usd, head
        self._local = _local_joints(head)
        self._previous: np.ndarray | None = None
        root = usd.UsdSkel.Root.Define(stage, path)
        usd.UsdSkel.BindingAPI.Apply(root.GetPrim())
        self._extent = usd.UsdGeom.Boundable(root).CreateExtentAttr()
        skeleton = _write_skeleton(usd, stage, f"{path}/Skeleton", head)
        self.mesh = mesh = _write_mesh(usd, stage, f"{path}/Head", head, purpose)
        self._sculpts = len(sculpts)
        names = _write_blend_shapes(usd, stage, mesh, head, sculpts)
        binding = usd.UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        _write_weights(usd, binding, head.model.skin_weights)
        animation = usd.UsdSkel.Animation.Define(stage, f"{path}/Skeleton/Animation")
        source = usd.UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel()
        source.SetTargets([animation.GetPath()])
        animation.CreateJointsAttr(_joint_paths())
        animation.CreateBlendShapesAttr(names)
        animation.CreateScalesAttr(to_vec3(usd, np.ones((5, 3)), half=True))
        self._translations, self._rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
        self._weights = animation.CreateBlendShapeWeightsAttr()

    def write(self, pose: HeadPose, vertices: np.ndarray, time: float | None, sculpt: int | None = None) -> None:
        """Author one frame; ``vertices`` are the (V, 3) ones that it shows, ``sculpt`` its index into ``sculpts``."""
        usd = self._usd
        matrices = axis_angle_to_matrix(pose.rotations)
        quats = matrix_to_quat(matrices)
        if self._previous is not None:  # one hemisphere, so that readers may interpolate componentwise
            quats = np.where((quats * self._previous).sum(1, keepdims=True) < 0, -quats, quats)
        self._previous = quats
        moved = self._local.copy()
        moved[0] += pose.translation
        weights = pose.expression
        if self._head.model.pose_correctives is not None:
            weights = np.concatenate([weights, (matrices[1:] - np.eye(3)).reshape(-1)])
        if self._sculpts:
            weights = np.concatenate([weights, np.arange(self._sculpts) == (-1 if sculpt is None else sculpt)])
        set_value(self._translations, to_vec3(usd, moved), time)
        set_value(self._rotations, to_quats(usd, quats), time)
        set_value(self._weights, to_floats(usd, weights), time)
        set_value(self._extent, to_vec3(usd, bounds(vertices)), time)


def _joint_paths() -> list[str]:
    paths: list[str] = []
    for name, parent in zip(JOINT_NAMES, PARENTS, strict=True):
        paths.append(name if parent < 0 else f"{paths[parent]}/{name}")
    return paths


def _local_joints(head: PersonalHead) -> np.ndarray:
    """(5, 3) rest position of each joint in its parent's frame (all rest frames are unrotated)."""
    return np.stack([j - (head.joints[p] if p >= 0 else 0) for j, p in zip(head.joints, PARENTS, strict=True)])


def _write_skeleton(usd: Any, stage: Any, path: str, head: PersonalHead) -> Any:
    def matrices(positions: np.ndarray) -> Any:
        return usd.Vt.Matrix4dArray(
            [to_matrix(usd, np.block([[np.eye(3), p[:, None]], [np.zeros(3), 1.0]])) for p in positions]
        )

    skeleton = usd.UsdSkel.Skeleton.Define(stage, path)
    skeleton.CreateJointsAttr(_joint_paths())
    skeleton.CreateJointNamesAttr(list(JOINT_NAMES))
    skeleton.CreateBindTransformsAttr(matrices(head.joints))
    skeleton.CreateRestTransformsAttr(matrices(_local_joints(head)))
    skeleton.CreatePurposeAttr(usd.UsdGeom.Tokens.guide)
    return skeleton


def _write_mesh(usd: Any, stage: Any, path: str, head: PersonalHead, purpose: str) -> Any:
    model = head.model
    mesh = usd.UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr(to_vec3(usd, head.rest))
    mesh.CreateExtentAttr(to_vec3(usd, bounds(head.rest)))
    mesh.CreateFaceVertexCountsAttr(to_ints(usd, np.full(len(model.faces), 3)))
    mesh.CreateFaceVertexIndicesAttr(to_ints(usd, model.faces.reshape(-1)))
    mesh.CreateSubdivisionSchemeAttr(usd.UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    mesh.CreatePurposeAttr(purpose)
    mesh.CreateNormalsAttr(to_vec3(usd, vertex_normals(head.rest, model.faces)))
    mesh.SetNormalsInterpolation(usd.UsdGeom.Tokens.vertex)
    primvars = usd.UsdGeom.PrimvarsAPI(mesh)
    st = primvars.CreatePrimvar("st", usd.Sdf.ValueTypeNames.TexCoord2fArray, usd.UsdGeom.Tokens.faceVarying)
    texels, index = np.unique(np.ascontiguousarray(model.uv, np.float32), axis=0, return_inverse=True)
    st.Set(usd.Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(texels)))
    st.SetIndices(to_ints(usd, index.reshape(-1)[model.uv_faces.reshape(-1)]))
    types, constant = usd.Sdf.ValueTypeNames, usd.UsdGeom.Tokens.constant
    for name, kind, value in (
        ("schemaVersion", types.Int, SCHEMA_VERSION),
        ("regionNames", types.String, ",".join(model.region_names)),
    ):
        primvars.CreatePrimvar(f"gshead:{name}", kind, constant).Set(value)
    region = primvars.CreatePrimvar("gshead:region", types.IntArray, usd.UsdGeom.Tokens.vertex)
    region.Set(to_ints(usd, model.region))
    return mesh


def _write_blend_shapes(
    usd: Any, stage: Any, mesh: Any, head: PersonalHead, sculpts: Sequence[np.ndarray]
) -> list[str]:  # fmt: skip
    """Author every expression, pose corrective and sculpt as a BlendShape; returns their names in weight order."""
    model = head.model
    deltas = [(name, head.shape_key(i)) for i, name in enumerate(model.expression_names)]
    if model.pose_correctives is not None:
        deltas += [(f"poseCorrective{i:02d}", model.pose_correctives[:, :, i]) for i in range(36)]
    deltas += [(f"deformed{i:04d}", delta) for i, delta in enumerate(sculpts)]
    names, targets = [], []
    for name, delta in deltas:
        valid = usd.Tf.MakeValidIdentifier(name)
        moved = np.flatnonzero(np.abs(delta).max(1) > _SMALLEST_OFFSET)
        shape = usd.UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(valid))
        shape.CreateOffsetsAttr(to_vec3(usd, delta[moved]))
        shape.CreatePointIndicesAttr(to_ints(usd, moved))
        names.append(valid)
        targets.append(shape.GetPath())
    binding = usd.UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateBlendShapesAttr(names)
    binding.CreateBlendShapeTargetsRel().SetTargets(targets)
    return names


def _write_weights(usd: Any, binding: Any, weights: np.ndarray) -> None:
    """(V, 5) weights as the few influences per vertex that are not zero."""
    influences = int((weights > 0).sum(1).max())
    order = np.argsort(-weights, axis=1, kind="stable")[:, :influences]
    kept = np.take_along_axis(weights, order, 1)
    binding.CreateJointIndicesPrimvar(False, influences).Set(to_ints(usd, np.where(kept > 0, order, 0).reshape(-1)))
    binding.CreateJointWeightsPrimvar(False, influences).Set(to_floats(usd, kept.reshape(-1)))
    binding.CreateGeomBindTransformAttr(usd.Gf.Matrix4d(1.0))


def sculpt_offsets(head: PersonalHead, pose: HeadPose, vertices: np.ndarray) -> np.ndarray:
    """(V, 3) offsets to the shaped rest mesh with which the pose's joints carry it to ``vertices``.

    The inverse of the head's skinning: what a sculpted shape key would hold.
    """
    transforms = joint_transforms(axis_angle_to_matrix(pose.rotations), head.joints)
    blended = (head.model.skin_weights.astype(np.float64) @ transforms.reshape(5, 12)).reshape(-1, 3, 4)
    local = vertices - pose.translation - blended[:, :, 3]
    return np.linalg.solve(blended[:, :, :3], local[:, :, None])[:, :, 0] - head.shaped(pose)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, area-weighted over the triangles of each vertex."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(vertices, np.float64)
    for i in range(3):
        np.add.at(out, faces[:, i], face)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 0, out / np.maximum(length, 1e-30), [0.0, 1.0, 0.0])
