"""``drive`` for several poses at once in plain torch, with nothing that waits for the device or copies to it.

So a CUDA graph can hold all of it. ``drive_triton`` does the same in four kernels; this is for where Triton is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..head.skinning_torch import joint_transforms, rotation_matrices
from .binding import SCALE_RANGE
from .drive import binding_of
from .drive_torch import matrix_to_quat, quat_multiply, triangle_axes
from .types import Avatar, Splats

_TINY = 1e-20
POSE_TAIL = 18
"""Values of a pose vector after the expression: root, neck, jaw, left eye, right eye, translation, three each."""


class TorchBatch:
    """An avatar's arrays on a device and the way from B pose vectors or meshes to B x N splats."""

    def __init__(self, avatar: Avatar, device: torch.device) -> None:
        b, head, person = binding_of(avatar), avatar.head, avatar.personal

        def put(array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(array), dtype=dtype, device=device)

        self._expressions = head.expression_count
        self._rest, self._joints, self._weights = put(person.rest), put(person.joints), put(head.skin_weights)
        self._shapes = put(dense_shapes(avatar))
        self._correctives = None
        if head.pose_correctives is not None:
            self._correctives = put(head.pose_correctives.reshape(-1, 36).T)
        self._faces, self._slot = put(b.faces, torch.int64), put(b.slot, torch.int64)
        self._bary, self._rest_area = put(b.bary.T), put(b.rest_area)
        self._offset, self._rotation, self._scale = put(b.offset.T), put(b.rotation.T), put(b.scale)
        self._opacity, self._color = put(b.opacity), put(b.color)
        self._residual: Callable[[Tensor], tuple[Tensor, ...]] | None = None
        if avatar.dynamic is not None:
            d = avatar.dynamic
            index, logit = put(d.index, torch.int64), put(avatar.opacity_logit[d.index])
            rotation = put(avatar.rotation[d.index])
            basis, gain, bias = put(d.basis.reshape(-1, d.basis.shape[2]).T), put(pose_gain(avatar)), put(d.bias)
            scale, offset, color = self._scale[index], self._offset[index], self._color[index]
            identity = torch.eye(4, device=device)[0]

            def residual(poses: Tensor) -> tuple[Tensor, ...]:
                coefficients = torch.addmm(bias, poses[:, : gain.shape[0]], gain)
                delta = (coefficients @ basis).view(poses.shape[0], -1, 14)
                turned = rotation + delta[..., 3:7]
                length = turned.norm(dim=-1, keepdim=True)
                parts = (
                    offset + delta[..., :3],
                    torch.where(length > 1e-12, turned / length.clamp(min=1e-12), identity),
                    scale * delta[..., 7:10].exp(),
                    (logit + delta[..., 10]).sigmoid(),
                    color + delta[..., 11:],
                )
                return tuple(self._spread(base, index, part) for base, part in zip(self._still, parts, strict=True))

            self._residual = residual

    @property
    def _still(self) -> tuple[Tensor, ...]:
        return self._offset, self._rotation, self._scale, self._opacity, self._color

    @staticmethod
    def _spread(base: Tensor, index: Tensor, part: Tensor) -> Tensor:
        return base.expand(part.shape[0], *base.shape).clone().index_copy_(1, index, part)

    def vertices(self, poses: Tensor) -> Tensor:
        """(B, V, 3) of pose vectors (B, E + 18), as ``PersonalHead.vertices``."""
        e, count = self._expressions, poses.shape[0]
        R = rotation_matrices(poses[:, e : e + 15].reshape(count, 5, 3))
        A = joint_transforms(R, self._joints.expand(count, 5, 3))
        shaped = poses[:, :e] @ self._shapes
        if self._correctives is not None:
            feature = R[:, 1:] - torch.eye(3, device=poses.device)
            shaped = torch.addmm(shaped, feature.reshape(count, 36), self._correctives)
        shaped = shaped.view(count, -1, 3) + self._rest
        blended = (self._weights @ A.view(count, 5, 12)).view(count, -1, 3, 4)
        posed = (blended[..., :3] @ shaped[..., None])[..., 0] + blended[..., 3]
        return posed + poses[:, None, e + 15 : e + POSE_TAIL]

    def from_poses(self, poses: Tensor) -> Splats:
        """Splats with a leading dimension B of pose vectors (B, E + 18)."""
        return self.from_vertices(self.vertices(poses), poses)

    def from_vertices(self, vertices: Tensor, poses: Tensor) -> Splats:
        """Splats on meshes (B, V, 3); the poses drive the dynamic residual only."""
        count = vertices.shape[0]
        corners = vertices[:, self._faces]
        axes, area = triangle_axes(corners.reshape(-1, 3, 3))
        quat = matrix_to_quat(axes).view(count, -1, 4)
        axes, area = axes.view(count, -1, 3, 3), area.view(count, -1)
        safe = self._rest_area > _TINY
        ratio = torch.where(safe, area / self._rest_area.clamp(min=_TINY), torch.ones_like(area))
        size = ratio.clamp(min=SCALE_RANGE[0] ** 2).sqrt().clamp(max=SCALE_RANGE[1])
        at = self._slot
        still = tuple(base.expand(count, *base.shape) for base in self._still)
        offset, rotation, scale, opacity, color = still if self._residual is None else self._residual(poses)
        size = size[:, at, None]
        centre = (self._bary[:, :, None] * corners[:, at]).sum(2)
        return Splats(
            means=centre + size * (axes[:, at] @ offset[..., None])[..., 0],
            quats=quat_multiply(quat[:, at], rotation),
            scales=size * scale,
            opacities=opacity,
            colors=color,
        )


def dense_shapes(avatar: Avatar) -> np.ndarray:
    """(E, 3 V) float32: what each expression at 1 adds to the dense rest mesh of this person."""
    head, gain = avatar.head, avatar.personal.gain
    dirs = head.expression_dirs * gain
    dense = dirs if head.subdivision is None else head.subdivision @ dirs
    return np.ascontiguousarray(dense.reshape(-1, head.expression_count).T, np.float32)


def pose_gain(avatar: Avatar) -> np.ndarray:
    """(E + 9, K): the residual's gain for the first values of a pose vector; root and neck count nothing."""
    assert avatar.dynamic is not None
    gain, e = avatar.dynamic.gain, avatar.head.expression_count
    out = np.zeros((e + 9, gain.shape[0]), np.float32)
    out[:e], out[e + 6 :] = gain[:, :e].T, gain[:, e:].T
    return out
