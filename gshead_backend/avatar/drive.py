"""Avatar + pose (or deformed vertices) -> splats, in numpy. ``drive_torch`` is the differentiable twin.

Everything that does not change with the pose is computed on first use and kept with the avatar, so a frame costs a few
passes over the splats and nothing else; it does not depend on how the avatar was made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError
from ..head.pose import HeadPose
from .binding import CHUNK, TriangleFrames, multiply_planar, relative_scale, triangle_frames
from .types import Avatar, DynamicResidual, Splats


@dataclass(frozen=True)
class Binding:
    """What an avatar keeps between frames.

    Attributes:
        faces: (T, 3) the triangles that carry splats. rest_area: (T,) theirs on the neutral mesh.
        neutral: (V, 3) that mesh: the person at rest.
        slot: (N,) each splat's triangle in ``faces``. corners: (3, N) its vertices. bary: (3, N).
        offset: (3, N). rotation: (4, N) unit. scale: (N, 3) metres. opacity: (N,). color: (N, 3).
    """

    faces: np.ndarray
    slot: np.ndarray
    corners: np.ndarray
    bary: np.ndarray
    rest_area: np.ndarray
    neutral: np.ndarray
    offset: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray
    opacity: np.ndarray
    color: np.ndarray


def binding_of(avatar: Avatar) -> Binding:
    """The avatar's :class:`Binding`; computed once. An avatar's arrays must not be changed in place."""
    if "binding" not in avatar._cache:
        avatar._cache["binding"] = _bind(avatar)
    return avatar._cache["binding"]


def _bind(avatar: Avatar) -> Binding:
    used, slot = np.unique(avatar.triangle, return_inverse=True)
    faces = np.ascontiguousarray(avatar.head.faces[used], np.int64)
    neutral = avatar.personal.vertices(HeadPose.neutral(avatar.head.expression_count))
    rotation = _normalized(np.ascontiguousarray(avatar.rotation.T, np.float32))
    return Binding(
        faces=faces,
        slot=slot.reshape(-1),
        corners=np.ascontiguousarray(faces[slot.reshape(-1)].T),
        bary=np.ascontiguousarray(avatar.bary.T, np.float32),
        rest_area=triangle_frames(neutral, faces).area,
        neutral=neutral,
        offset=np.ascontiguousarray(avatar.offset.T, np.float32),
        rotation=rotation,
        scale=np.exp(np.asarray(avatar.log_scale, np.float32)),
        opacity=_sigmoid(np.asarray(avatar.opacity_logit, np.float32)),
        color=np.require(avatar.color, np.float32, ("C", "W")),
    )


def pose_features(pose: HeadPose) -> np.ndarray:
    """(E + 3,) float32 input of the dynamic residual: expression, then jaw."""
    return np.concatenate([pose.expression, pose.jaw_pose])


def drive(avatar: Avatar, pose: HeadPose) -> Splats:
    """The avatar in a pose: N splats in head space, float32 numpy.

    Raises ``ArgumentError`` when the pose was made for another head model.
    """
    return drive_vertices(avatar, avatar.personal.vertices(pose), pose)


def drive_vertices(avatar: Avatar, vertices: np.ndarray, pose: HeadPose | None = None) -> Splats:
    """The avatar on an already deformed dense mesh.

    Args:
        vertices: (V, 3) metres, head space; however they came about.
        pose: drives the dynamic residual only; None leaves it at the neutral pose.
    """
    vertices = checked_vertices(avatar, vertices)
    b = binding_of(avatar)
    frames = triangle_frames(vertices, b.faces)
    offset, rotation, scale, opacity, color = appearance(avatar, pose)
    corners = np.ascontiguousarray(vertices.T)
    relative = relative_scale(frames.area, b.rest_area)
    n = b.slot.size
    means, quats, scales = np.empty((n, 3), np.float32), np.empty((n, 4), np.float32), np.empty((n, 3), np.float32)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        at = b.slot[part]
        s = relative[at]
        _place(frames, at, corners, b.corners[:, part], b.bary[:, part], offset[:, part] * s, means[part])
        quats[part] = multiply_planar(np.stack([q[at] for q in frames.quat]), rotation[:, part]).T
        np.multiply(scale[part], s[:, None], out=scales[part])
    return Splats(means, quats, scales, opacity, color)


def _place(
    frames: TriangleFrames, at: np.ndarray, vertices: np.ndarray, corners: np.ndarray, bary: np.ndarray,
    offset: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """out (n, 3): barycentric point of ``vertices[:, corners]`` plus ``offset`` (3, n) along the triangle's axes."""
    for i in range(3):
        total = offset[0] * frames.axes[0, i][at]
        for j in (1, 2):
            total += offset[j] * frames.axes[j, i][at]
        for k in range(3):
            total += bary[k] * vertices[i][corners[k]]
        out[:, i] = total


def checked_vertices(avatar: Avatar, vertices: np.ndarray) -> np.ndarray:
    """(V, 3) float32; raises ``ArgumentError`` when there are too few or many, or NaN or infinite ones."""
    v = avatar.head.vertex_count
    if vertices.shape != (v, 3):
        raise ArgumentError(
            f"The avatar's head has {v} vertices, got an array of shape {vertices.shape}.",
            remedy="Send the evaluated vertices of the avatar's own mesh, without modifiers that change their number.",
        )
    vertices = np.asarray(vertices, np.float32)
    if not np.isfinite(vertices).all():
        raise ArgumentError("Vertices hold NaN or infinity.", remedy="Check the modifiers of the head's mesh.")
    return vertices


Appearance = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def residual_code(d: DynamicResidual, pose: HeadPose | None) -> np.ndarray:
    """(K,) float32: how much of each of its directions a residual adds in a pose, None for the neutral one.

    Raises ``ArgumentError`` when the pose was made for another head model.
    """
    features = np.zeros(d.gain.shape[1], np.float32) if pose is None else pose_features(pose)
    if features.size != d.gain.shape[1]:
        raise ArgumentError(f"The avatar's residual takes {d.gain.shape[1]} pose values, got {features.size}.")
    return (d.gain @ features + d.bias).astype(np.float32)


def appearance(avatar: Avatar, pose: HeadPose | None) -> Appearance:
    """offset (3, N), rotation (4, N) unit, scale (N, 3), opacity (N,), color (N, 3) with the dynamic residual added."""
    b, d = binding_of(avatar), avatar.dynamic
    if d is None:
        return b.offset, b.rotation, b.scale, b.opacity, b.color
    code = residual_code(d, pose)
    i, change = (
        d.index,
        {name: (basis @ code).reshape(len(d.index), -1) for name, basis in _changing(d, avatar).items()},
    )
    offset, rotation, scale, opacity, color = b.offset, b.rotation, b.scale, b.opacity, b.color
    if "offset" in change:
        offset = offset.copy()
        offset[:, i] += change["offset"].T
    if "rotation" in change:
        rotation = rotation.copy()
        rotation[:, i] = _normalized(avatar.rotation[i].T.astype(np.float32) + change["rotation"].T)
    if "log_scale" in change:
        scale = scale.copy()
        scale[i] *= np.exp(change["log_scale"])
    if "opacity_logit" in change:
        opacity = opacity.copy()
        opacity[i] = _sigmoid(avatar.opacity_logit[i].astype(np.float32) + change["opacity_logit"][:, 0])
    if "color" in change:
        color = color.copy()
        color[i] += change["color"]
    return offset, rotation, scale, opacity, color


_PARTS = {"offset": slice(0, 3), "rotation": slice(3, 7), "log_scale": slice(7, 10), "opacity_logit": slice(10, 11),
          "color": slice(11, 14)}  # fmt: skip


def _changing(d: DynamicResidual, avatar: Avatar) -> dict[str, np.ndarray]:
    """What a residual changes at all, each as one (M * channels, K) matrix; most leave some of it alone."""
    if "changing" not in avatar._cache:
        parts = {k: d.basis[:, part] for k, part in _PARTS.items()}
        avatar._cache["changing"] = {
            k: np.ascontiguousarray(v, np.float32).reshape(-1, d.basis.shape[2]) for k, v in parts.items() if v.any()
        }
    return avatar._cache["changing"]


def _normalized(q: np.ndarray) -> np.ndarray:
    """Unit (4, N) quaternions; identity where the length is zero."""
    length = np.sqrt(np.einsum("it,it->t", q, q))
    out = q / np.where(length > 1e-12, length, np.float32(1))
    out[:, length <= 1e-12] = [[1.0], [0.0], [0.0], [0.0]]
    return out


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # tanh saturates without the overflow warning that exp gives for large negative logits
    return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * x)
