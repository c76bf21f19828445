"""``drive`` in torch: on any device, differentiable with respect to vertices and splat parameters.

A test keeps it equal to the numpy twin in ``drive``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError
from ..head.pose import HeadPose
from ..head.rotation import axis_angle_to_matrix
from ..head.skinning import joint_transforms
from .binding import SCALE_RANGE
from .drive import binding_of, pose_features
from .shading import shading_of
from .types import Avatar, Splats

PARAMETERS = ("offset", "rotation", "log_scale", "opacity_logit", "color")
_TINY = 1e-20


@dataclass(frozen=True)
class SplatFrames:
    """Where N splats sit on a posed mesh; compute once when only splat parameters change.

    Attributes:
        centre: (N, 3) metres. axes: (N, 3, 3) rotation, columns are the triangle's axes. quat: (N, 4). scale: (N, 1).
    """

    centre: Tensor
    axes: Tensor
    quat: Tensor
    scale: Tensor


class TorchAvatar:
    """An avatar whose arrays live on a torch device.

    Attributes:
        parameters: the avatar's own values of ``PARAMETERS``: clone, ``requires_grad_()`` and pass them back as
            ``overrides`` to fit them.
        drivers: what ``drive_graph.driver_of`` keeps here; clear it to give their memory back at once.
    """

    def __init__(self, avatar: Avatar, device: str | torch.device = "cpu") -> None:
        self.avatar = avatar
        self.device = torch.device(device)
        b = binding_of(avatar)
        self._faces = self._tensor(b.faces)
        self._slot = self._tensor(b.slot)
        self._bary = self._tensor(avatar.bary).float()
        self._rest_area = self._tensor(b.rest_area)
        self.parameters = {name: self._tensor(getattr(avatar, name)).float() for name in PARAMETERS}
        lost = np.linalg.norm(avatar.rotation, axis=1) <= 1e-12  # no rotation at all counts as none
        if avatar.dynamic is not None:
            lost[avatar.dynamic.index] = False
        if lost.any():
            none = torch.eye(4, device=self.device)[0]
            self.parameters["rotation"] = torch.where(self._tensor(lost)[:, None], none, self.parameters["rotation"])
        self._skinning: tuple[Tensor, ...] | None = None
        self.drivers: dict[int, Any] = {}
        self._shading: tuple[Tensor, Tensor] | None = None
        d = avatar.dynamic
        if d is not None:
            self._index = self._tensor(d.index).long()
            self._residual = tuple(self._tensor(a).float() for a in (d.basis, d.gain, d.bias))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    @property
    def shading(self) -> tuple[Tensor, Tensor]:
        """``axis`` and ``gain`` of the avatar's ``Shading``, each (N, 3); made when first asked for."""
        if self._shading is None:
            shading = shading_of(self.avatar)
            self._shading = self._tensor(shading.axis), self._tensor(shading.gain)
        return self._shading

    def splat_shadow(self, shadow: np.ndarray) -> Tensor:
        """``shading.splat_shadow`` on this device: (N, 3) of (V, 3)."""
        corners = self._tensor(np.asarray(shadow, np.float32))[self._faces][self._slot]
        return (self._bary[:, :, None] * corners).sum(1)

    def drive(self, pose: HeadPose, overrides: Mapping[str, Tensor] | None = None) -> Splats:
        """Splats of a pose; ``overrides`` replaces any of ``PARAMETERS``, each (N, ...) on this device."""
        return self.drive_vertices(self.vertices(pose), pose, overrides)

    def vertices(self, pose: HeadPose) -> Tensor:
        """(V, 3) posed vertices on this device; what crosses over to it is one small array."""
        person, head = self.avatar.personal, self.avatar.head
        person.check(pose)
        if self._skinning is None:
            dirs = head.expression_dirs * person.gain
            dense = dirs if head.subdivision is None else head.subdivision @ dirs
            arrays = [person.rest.reshape(-1), dense.reshape(-1, head.expression_count), head.skin_weights]
            if head.pose_correctives is not None:
                arrays.append(head.pose_correctives.reshape(-1, 36))
            self._skinning = tuple(self._tensor(a).float() for a in arrays)
        rest, dirs, weights, *correctives = self._skinning
        rotations = axis_angle_to_matrix(pose.rotations)
        A = joint_transforms(rotations, person.joints)
        A[:, :, 3] += pose.translation  # weights sum to 1
        feature = (rotations[1:] - np.eye(3)).reshape(-1)
        small = self._tensor(np.concatenate([pose.expression, A.reshape(-1), feature]).astype(np.float32))
        expression, A, feature = small.split([pose.expression.size, 60, 36])
        shaped = torch.addmv(rest, dirs, expression)
        if correctives:
            shaped = torch.addmv(shaped, correctives[0], feature)
        blended = (weights @ A.view(5, 12)).view(-1, 3, 4)
        return (blended[:, :, :3] @ shaped.view(-1, 3, 1))[:, :, 0] + blended[:, :, 3]

    def drive_vertices(
        self, vertices: Tensor | np.ndarray, pose: HeadPose | None = None, overrides: Mapping[str, Tensor] | None = None
    ) -> Splats:
        """Splats on deformed vertices (V, 3); ``pose`` drives the dynamic residual only."""
        return self.place(self.frames(vertices), pose, overrides)

    def frames(self, vertices: Tensor | np.ndarray) -> SplatFrames:
        """Triangle frames at every splat, differentiable with respect to ``vertices`` (V, 3)."""
        v = torch.as_tensor(vertices, dtype=torch.float32, device=self.device)
        if v.shape != (self.avatar.head.vertex_count, 3):
            raise ArgumentError(
                f"The avatar's head has {self.avatar.head.vertex_count} vertices, got shape {tuple(v.shape)}."
            )
        corners = v[self._faces]
        axes, area = triangle_axes(corners)
        ratio = torch.where(self._rest_area > _TINY, area / self._rest_area.clamp(min=_TINY), torch.ones_like(area))
        scale = ratio.clamp(min=SCALE_RANGE[0] ** 2).sqrt().clamp(max=SCALE_RANGE[1])
        at = self._slot
        centre = (self._bary[:, :, None] * corners[at]).sum(1)
        return SplatFrames(centre, axes[at], matrix_to_quat(axes)[at], scale[at, None])

    def place(
        self, frames: SplatFrames, pose: HeadPose | None = None, overrides: Mapping[str, Tensor] | None = None
    ) -> Splats:
        """Splats from frames and splat parameters."""
        p = self._with_residual({**self.parameters, **(overrides or {})}, pose)
        rotation = torch.nn.functional.normalize(p["rotation"], dim=-1)
        return Splats(
            means=frames.centre + frames.scale * (frames.axes @ p["offset"][:, :, None])[:, :, 0],
            quats=quat_multiply(frames.quat, rotation),
            scales=frames.scale * p["log_scale"].exp(),
            opacities=p["opacity_logit"].sigmoid(),
            colors=p["color"],
        )

    def _with_residual(self, p: dict[str, Tensor], pose: HeadPose | None) -> dict[str, Tensor]:
        unknown = set(p) - set(PARAMETERS)
        if unknown:
            raise ArgumentError(f"Unknown splat parameters {sorted(unknown)}; known: {', '.join(PARAMETERS)}.")
        if self.avatar.dynamic is None:
            return p
        basis, gain, bias = self._residual
        weights = bias if pose is None else gain @ self._tensor(pose_features(pose)) + bias
        delta = basis @ weights
        parts: dict[str, Tensor] = dict(zip(PARAMETERS, delta.split([3, 4, 3, 1, 3], dim=1), strict=True))
        parts["opacity_logit"] = parts["opacity_logit"][:, 0]
        return {name: value.index_add(0, self._index, parts[name]) for name, value in p.items()}


def triangle_axes(corners: Tensor) -> tuple[Tensor, Tensor]:
    """Frames of triangles with corners (T, 3, 3): axes (T, 3, 3) in columns, area (T,).

    Finite values and gradients for degenerate triangles too.
    """
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = torch.linalg.cross(e1, e2)
    length = _norm(normal)
    edge = _norm(e1)
    x_axis = torch.eye(3, device=corners.device)[0]  # made there: a copy from the host would make it wait
    x = torch.where(edge > _TINY, e1 / edge.clamp(min=_TINY), x_axis)
    z = normal / length.clamp(min=_TINY)
    sliver = length <= 1e-3 * edge * _norm(e2)
    z = torch.where(sliver, _perpendicular(x, z), z)
    return torch.stack([x, torch.linalg.cross(z, x), z], -1), 0.5 * length[:, 0]


def _norm(v: Tensor) -> Tensor:
    """(T, 1) lengths; the gradient at zero is zero, not NaN."""
    square = (v * v).sum(-1, keepdim=True)
    safe = square > 0
    return torch.where(safe, torch.where(safe, square, torch.ones_like(square)).sqrt(), torch.zeros_like(square))


def _perpendicular(x: Tensor, near: Tensor) -> Tensor:
    axis = (torch.arange(3, device=x.device) == x.abs().argmin(-1, keepdim=True)).to(x.dtype)
    out = near - x * (x * near).sum(-1, keepdim=True)
    out = torch.where(_norm(out) > 0.1, out, torch.linalg.cross(x, axis))
    return out / _norm(out).clamp(min=_TINY)


def matrix_to_quat(R: Tensor) -> Tensor:
    """(..., 3, 3) rotations to unit (..., 4) wxyz: the best conditioned column of 4 q qT (Shepperd 1978)."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = R.flatten(-2).unbind(-1)
    wx, wy, wz = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    d = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    rows = torch.stack(
        [d[..., 0], wx, wy, wz, wx, d[..., 1], xy, xz, wy, xy, d[..., 2], yz, wz, xz, yz, d[..., 3]], -1
    ).unflatten(-1, (4, 4))
    pick = d.argmax(-1)[..., None, None].expand(*d.shape[:-1], 1, 4)
    return torch.nn.functional.normalize(rows.gather(-2, pick)[..., 0, :], dim=-1)


def quat_to_matrix(q: Tensor) -> Tensor:
    """(..., 4) wxyz, normalised here, to (..., 3, 3)."""
    w, x, y, z = torch.nn.functional.normalize(q, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ], -1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def quat_multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of (..., 4) wxyz quaternions."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
        ], -1,
    )  # fmt: skip


def transform_axes(A: Tensor, quats: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Quaternions and scales of A S AT for every splat's covariance S (eigen-decomposition)."""
    M = A @ quat_to_matrix(quats) * scales[:, None, :]
    values, axes = torch.linalg.eigh(M @ M.transpose(-1, -2))
    axes = axes * torch.linalg.det(axes).sign()[:, None, None]
    return matrix_to_quat(axes), values.clamp(min=0).sqrt()
