"""``TorchHead``: the differentiable twin of ``skinning``, batched. Loads torch; imported only on demand."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .model import PARENTS, HeadModel
from .pose import HeadPose


def rotation_matrices(r: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rodrigues' formula for axis-angle vectors in radians; smooth, with exact gradients at zero."""
    squared = (r * r).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    # sin(a)/a and (1 - cos(a))/a^2, by their series near zero.
    first = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / angle**2)
    x, y, z = r.unbind(-1)
    zero = torch.zeros_like(x)
    K = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*r.shape[:-1], 3, 3)
    return torch.eye(3, dtype=r.dtype, device=r.device) + first * K + second * (K @ K)


class TorchHead:
    """A head model on a device; every method takes leading batch dimensions and is differentiable.

    Args:
        model: the head. device, dtype: where and how to compute.
    """

    def __init__(
        self, model: HeadModel, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.model = model
        self.device, self.dtype = torch.device(device), dtype
        c, v = model.template.shape[0], model.vertex_count
        self.template = self._tensor(model.template)
        self.identity_dirs = self._tensor(model.identity_dirs).reshape(c * 3, -1)
        self.expression_dirs = self._tensor(model.expression_dirs).reshape(c * 3, -1)
        self.gain = None if model.expression_gain is None else self._tensor(model.expression_gain)
        self.joints_rest = self._tensor(model.joints)
        self.joints_identity = self._tensor(model.joints_identity).reshape(15, -1)
        self.weights = self._tensor(model.skin_weights)
        self.correctives = None
        if model.pose_correctives is not None:
            self.correctives = self._tensor(model.pose_correctives).reshape(v * 3, 36)
        self.subdivision = None
        if model.subdivision is not None:
            s = model.subdivision
            rows = np.repeat(np.arange(v), np.diff(s.indptr))
            index = torch.from_numpy(np.stack([rows, s.indices.astype(np.int64)]))
            data = torch.from_numpy(s.data.astype(np.float64))
            matrix = torch.sparse_coo_tensor(index, data, (v, c), check_invariants=True)
            self.subdivision = matrix.to(device=self.device, dtype=dtype).coalesce()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device=self.device, dtype=self.dtype)

    def densify(self, control: Float[Tensor, "*b c 3"]) -> Float[Tensor, "*b v 3"]:
        """Control points, or displacements, to dense vertices."""
        if self.subdivision is None:
            return control
        batch = control.shape[:-2]
        flat = control.reshape(-1, control.shape[-2], 3).transpose(0, 1).reshape(control.shape[-2], -1)
        dense = torch.sparse.mm(self.subdivision, flat)
        return dense.reshape(dense.shape[0], -1, 3).transpose(0, 1).reshape(*batch, -1, 3)

    def joints(self, betas: Float[Tensor, "*b n"]) -> Float[Tensor, "*b 5 3"]:
        """Rest joints of a person, metres."""
        return self.joints_rest + (betas @ self.joints_identity.T).reshape(*betas.shape[:-1], 5, 3)

    def shaped(
        self, betas: Float[Tensor, "*b n"], expression: Float[Tensor, "*b e"],
        vertex_offsets: Float[Tensor, "*b v 3"] | None = None,
    ) -> Float[Tensor, "*b v 3"]:  # fmt: skip
        """Vertices before skinning, without pose correctives, metres."""
        weight = expression if self.gain is None else expression * (1 + betas @ self.gain.T)
        moved = betas @ self.identity_dirs.T + weight @ self.expression_dirs.T
        dense = self.densify(self.template + moved.reshape(*moved.shape[:-1], -1, 3))
        return dense if vertex_offsets is None else dense + vertex_offsets

    def vertices(
        self,
        betas: Float[Tensor, "*b n"],
        expression: Float[Tensor, "*b e"],
        rotations: Float[Tensor, "*b 5 3"],
        translation: Float[Tensor, "*b 3"] | None = None,
        vertex_offsets: Float[Tensor, "*b v 3"] | None = None,
    ) -> Float[Tensor, "*b v 3"]:
        """Posed vertices in head space, metres; see ``PersonalHead.vertices``.

        Args:
            betas: identity. expression: expression coefficients.
            rotations: axis-angle in radians of root, neck, jaw, left eye, right eye.
            translation: metres. vertex_offsets: metres, added to the neutral mesh.
        """
        shaped = self.shaped(betas, expression, vertex_offsets)
        R = rotation_matrices(rotations)
        if self.correctives is not None:
            feature = (R[..., 1:, :, :] - torch.eye(3, dtype=R.dtype, device=R.device)).flatten(-3)
            shaped = shaped + (feature @ self.correctives.T).reshape(shaped.shape)
        A = joint_transforms(R, self.joints(betas))
        blended = torch.einsum("vj,...jab->...vab", self.weights, A)
        out = (blended[..., :3] @ shaped[..., None]).squeeze(-1) + blended[..., 3]
        return out if translation is None else out + translation[..., None, :]

    def pose(self, betas: np.ndarray | Tensor, pose: HeadPose) -> Float[Tensor, "v 3"]:
        """Vertices for a numpy pose."""
        b = torch.as_tensor(betas, dtype=self.dtype, device=self.device)
        return self.vertices(
            b, self._tensor(pose.expression), self._tensor(pose.rotations), self._tensor(pose.translation)
        )


def joint_transforms(R: Float[Tensor, "*b 5 3 3"], joints: Float[Tensor, "*b 5 3"]) -> Float[Tensor, "*b 5 3 4"]:
    """Skinning matrices of the five joints (Loper et al. 2015, SMPL, eqs. 3-4): rest point to posed place."""
    rotation: list[Tensor] = []
    place: list[Tensor] = []
    for j, parent in enumerate(PARENTS):
        if parent < 0:
            rotation.append(R[..., j, :, :])
            place.append(joints[..., j, :])
        else:
            bone = (joints[..., j, :] - joints[..., parent, :])[..., None]
            rotation.append(rotation[parent] @ R[..., j, :, :])
            place.append((rotation[parent] @ bone).squeeze(-1) + place[parent])
    turn, at = torch.stack(rotation, -3), torch.stack(place, -2)
    shift = at - (turn @ joints[..., None]).squeeze(-1)
    return torch.cat([turn, shift[..., None]], -1)
