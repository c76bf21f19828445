"""The head mesh in glTF: five joints, ARKit morph targets, the baked texture, and one animation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..avatar.types import Avatar
from ..head import ARKIT_NAMES, JOINT_NAMES, PARENTS, HeadModel, HeadPose, PersonalHead, pose_from_arkit
from ..head.rotation import axis_angle_to_matrix, matrix_to_quat
from .gltf_file import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Gltf
from .morphs import complete_morphs
from .texture import texture_png
from .usd_look import ROUGHNESS
from .usd_rig import vertex_normals

Morphs = Literal["arkit", "rig"]
_SMALLEST_OFFSET = 2e-7  # metres


def add_head(
    gltf: Gltf, avatar: Avatar, poses: Sequence[HeadPose], fps: float, morphs: Morphs, *, texture: bool
) -> list[int]:  # fmt: skip
    """Add mesh, skin and, for two poses or more, the animation; returns the nodes for the scene.

    Raises ``ArgumentError`` for a pose of another head.
    """
    head = avatar.personal
    for pose in poses:
        head.check(pose)
    names, deltas = _targets(head, morphs)
    weights, turns = _motion(avatar.head, poses, morphs)
    mesh = _mesh(gltf, avatar, names, deltas, weights[0] if len(weights) else np.zeros(len(names)), texture)
    joints = _joints(gltf, head, turns[0] if len(turns) else None, poses[0] if len(poses) else None)
    inverse = np.tile(np.eye(4, dtype=np.float32), (5, 1, 1))
    inverse[:, 3, :3] = -head.joints  # glTF's matrices lie column by column
    skin = gltf.add("skins", {"joints": joints, "inverseBindMatrices": gltf.accessor(inverse.reshape(5, 16))})
    node = gltf.add("nodes", {"name": avatar.name, "mesh": mesh, "skin": skin})
    if len(poses) > 1:
        _animate(gltf, poses, weights, turns, joints, node, head, fps)
    return [joints[0], node]


def _targets(head: PersonalHead, morphs: Morphs) -> tuple[list[str], np.ndarray]:
    if morphs == "arkit":
        return list(ARKIT_NAMES), complete_morphs(head)
    model = head.model
    deltas = [head.shape_key(i) for i in range(model.expression_count)]
    names = list(model.expression_names)
    if model.pose_correctives is not None:
        deltas += [model.pose_correctives[:, :, i] for i in range(36)]
        names += [f"poseCorrective{i:02d}" for i in range(36)]
    return names, np.stack(deltas)


def _motion(model: HeadModel, poses: Sequence[HeadPose], morphs: Morphs) -> tuple[np.ndarray, np.ndarray]:
    """(F, M) morph weights and (F, 5, 3, 3) local rotations of the joints."""
    if not len(poses):
        return np.zeros((0, 0)), np.zeros((0, 5, 3, 3))
    turns = np.stack([axis_angle_to_matrix(pose.rotations) for pose in poses])
    expression = np.stack([pose.expression for pose in poses]).astype(np.float64)
    if morphs == "rig":
        if model.pose_correctives is not None:
            expression = np.concatenate([expression, (turns[:, 1:] - np.eye(3)).reshape(len(poses), 36)], 1)
        return expression, turns
    channels = expression @ np.linalg.pinv(model.arkit_expression.astype(np.float64))
    for i, row in enumerate(channels):  # what the channels' own shapes do already must not be done by the joints again
        own = axis_angle_to_matrix(pose_from_arkit(model, row).rotations)
        turns[i, 2:] = np.swapaxes(own[2:], 1, 2) @ turns[i, 2:]
    return channels, turns


def _mesh(
    gltf: Gltf, avatar: Avatar, names: list[str], deltas: np.ndarray, weights: np.ndarray, texture: bool
) -> int:  # fmt: skip
    model, rest = avatar.head, avatar.personal.rest
    pairs = np.stack([model.faces.reshape(-1), model.uv_faces.reshape(-1)], 1)
    corners, index = np.unique(pairs, axis=0, return_inverse=True)
    vertex, uv = corners[:, 0], model.uv[corners[:, 1]].astype(np.float64)
    order = np.argsort(-model.skin_weights, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(model.skin_weights, order, 1)
    kept = kept / kept.sum(1, keepdims=True)
    attributes = {
        "POSITION": gltf.accessor(rest[vertex].astype(np.float32), target=ARRAY_BUFFER, bounds=True),
        "NORMAL": gltf.accessor(
            vertex_normals(rest, model.faces)[vertex].astype(np.float32), target=ARRAY_BUFFER
        ),
        "TEXCOORD_0": gltf.accessor(np.stack([uv[:, 0], 1 - uv[:, 1]], 1).astype(np.float32), target=ARRAY_BUFFER),
        "JOINTS_0": gltf.accessor(np.where(kept > 0, order, 0)[vertex].astype(np.uint8), target=ARRAY_BUFFER),
        "WEIGHTS_0": gltf.accessor(kept[vertex].astype(np.float32), target=ARRAY_BUFFER),
    }  # fmt: skip
    targets = []
    for delta in deltas:
        moved = np.abs(delta).max(1) > _SMALLEST_OFFSET
        rows = np.flatnonzero(moved[vertex])
        targets.append({"POSITION": gltf.sparse(rows, delta[vertex[rows]].astype(np.float32), len(vertex))})
    primitive: dict[str, Any] = {
        "attributes": attributes, "targets": targets, "material": _material(gltf, avatar, texture),
        "indices": gltf.accessor(index.reshape(-1).astype(np.uint32), target=ELEMENT_ARRAY_BUFFER),
    }  # fmt: skip
    return gltf.add(
        "meshes",
        {"name": avatar.name, "primitives": [primitive], "weights": weights.tolist(), "extras": {"targetNames": names}},
    )


def _material(gltf: Gltf, avatar: Avatar, texture: bool) -> int:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS}
    if texture:
        view = gltf.view(texture_png(avatar))
        image = gltf.add("images", {"bufferView": view, "mimeType": "image/png", "name": f"{avatar.name} Head"})
        sampler = gltf.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071})
        surface["baseColorTexture"] = {"index": gltf.add("textures", {"source": image, "sampler": sampler})}
    return gltf.add("materials", {"name": avatar.name, "doubleSided": True, "pbrMetallicRoughness": surface})


def _joints(gltf: Gltf, head: PersonalHead, turns: np.ndarray | None, pose: HeadPose | None) -> list[int]:
    first = len(gltf.json.get("nodes", []))
    for joint, (name, parent) in enumerate(zip(JOINT_NAMES, PARENTS, strict=True)):
        place = head.joints[joint] - (head.joints[parent] if parent >= 0 else 0)
        if joint == 0 and pose is not None:
            place = place + pose.translation
        node: dict[str, Any] = {"name": name, "translation": place.tolist()}
        if turns is not None:
            node["rotation"] = matrix_to_quat(turns[joint])[[1, 2, 3, 0]].tolist()
        if children := [first + i for i, p in enumerate(PARENTS) if p == joint]:
            node["children"] = children
        gltf.add("nodes", node)
    return list(range(first, first + 5))


def _animate(
    gltf: Gltf, poses: Sequence[HeadPose], weights: np.ndarray, turns: np.ndarray, joints: list[int], node: int,
    head: PersonalHead, fps: float,
) -> None:  # fmt: skip
    time = gltf.accessor((np.arange(len(poses)) / fps).astype(np.float32), bounds=True)
    tracks = [(node, "weights", weights.reshape(-1))]
    tracks.append((joints[0], "translation", np.stack([pose.translation + head.joints[0] for pose in poses])))
    for joint in range(5):
        quats = matrix_to_quat(turns[:, joint])
        for i in range(1, len(quats)):  # one hemisphere: viewers interpolate along the shorter arc, or componentwise
            if quats[i] @ quats[i - 1] < 0:
                quats[i] *= -1
        if joint < 2 or np.abs(turns[:, joint] - np.eye(3)).max() > 1e-6:
            tracks.append((joints[joint], "rotation", quats[:, [1, 2, 3, 0]]))
    samplers = [{"input": time, "output": gltf.accessor(values.astype(np.float32))} for _, _, values in tracks]
    channels = [{"sampler": i, "target": {"node": n, "path": p}} for i, (n, p, _) in enumerate(tracks)]
    gltf.add("animations", {"name": "Take", "samplers": samplers, "channels": channels})
