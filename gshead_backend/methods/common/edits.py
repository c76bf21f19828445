"""What networks say about splats: corrections of those that ``uvfit`` placed, in numpy for avatars, in torch to learn.

Both twins do the same; a test keeps them equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...avatar.drive_torch import SplatFrames, TorchAvatar
from ...avatar.types import Avatar, DynamicResidual, Splats
from ...head.pose import HeadPose
from ..uvfit.cloud import Cloud
from .lattice import Lookup

SHIFT, COLOR, LOG_SCALE, LOGIT = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)
STATIC = 10
"""Channels of a static map: shift in metres along head axes (x left, y up, z front), colour (sRGB 0..1), log scale of
the splat's own axes, opacity logit. All are added; scales multiply."""
_RANGES = {"shift": 0.06, "log_scale": 1.2, "logit": 8.0}


@dataclass(frozen=True)
class Edits:
    """Corrections of N splats.

    Attributes:
        static: (N, 10) float32, see ``STATIC``. basis: (N, 6 or 10, K) float32 or None: what each of K codes adds to
            shift and colour, or to all channels. gain: (K, E + 3), bias: (K,): codes from ``drive.pose_features``.
    """

    static: np.ndarray
    basis: np.ndarray | None = None
    gain: np.ndarray | None = None
    bias: np.ndarray | None = None

    def at(self, lookup: Lookup) -> Edits:
        """The corrections of other points of the surface than the lattice's texels."""
        basis = None if self.basis is None else lookup.take(self.basis).astype(np.float32)
        return Edits(lookup.take(self.static).astype(np.float32), basis, self.gain, self.bias)


def edit_cloud(cloud: Cloud, edits: Edits) -> Cloud:
    """A copy of ``cloud`` whose first N splats are corrected; the others stay."""
    n = len(edits.static)
    out = Cloud(**{k: v.copy() for k, v in vars(cloud).items()})
    shift = np.clip(edits.static[:, SHIFT], -_RANGES["shift"], _RANGES["shift"])
    out.rest[:n] += shift
    out.posed[:n] += shift
    out.color[:n] = np.clip(out.color[:n] + edits.static[:, COLOR], 0, 1)
    out.sigma[:n] *= np.exp(np.clip(edits.static[:, LOG_SCALE], -_RANGES["log_scale"], _RANGES["log_scale"]))
    out.opacity_logit[:n] += np.clip(edits.static[:, 9], -_RANGES["logit"], _RANGES["logit"])
    return out


def dynamic_of(avatar: Avatar, edits: Edits, least: float = 2e-4) -> DynamicResidual | None:
    """The residual of the first N splats of ``avatar``; those that no single expression changes by ``least`` metres, or
    in colour by ``least`` times 40, are left out."""
    if edits.basis is None or edits.gain is None or edits.bias is None:
        return None
    reach = np.abs(edits.basis @ edits.gain).max(2)
    moved = (reach[:, :3].max(1) > least) | (reach[:, 3:].max(1) > 40 * least)
    index = np.flatnonzero(moved).astype(np.int32)
    if not index.size:
        return None
    return residual_of(avatar, edits, index)


def residual_of(avatar: Avatar, edits: Edits, index: np.ndarray) -> DynamicResidual:
    """The residual of the splats ``index`` (M,) int32, all of which have corrections that change with the pose."""
    assert edits.basis is not None
    assert edits.gain is not None
    assert edits.bias is not None
    R = rest_axes(avatar)[index]
    basis = np.zeros((index.size, 14, edits.basis.shape[2]), np.float32)
    basis[:, :3] = np.einsum("nij,nik->njk", R, edits.basis[index, :3])
    basis[:, 11:14] = edits.basis[index, 3:6]
    if edits.basis.shape[1] == STATIC:
        basis[:, 7:10], basis[:, 10:11] = edits.basis[index, LOG_SCALE], edits.basis[index, LOGIT]
    return DynamicResidual(index, basis, edits.gain.astype(np.float32), edits.bias.astype(np.float32))


def rest_axes(avatar: Avatar) -> np.ndarray:
    """(N, 3, 3) float32 rotation of each splat's triangle at rest; columns are the triangle's axes."""
    from ...avatar.binding import triangle_frames
    from ...avatar.drive import binding_of

    b = binding_of(avatar)
    return triangle_frames(b.neutral, b.faces).axes[:, :, b.slot].transpose(2, 1, 0)


class EditedAvatar:
    """An avatar whose first N splats a network corrects: differentiable splats of any pose.

    Attributes:
        avatar: the one to be corrected. count: N.
    """

    def __init__(self, avatar: Avatar, count: int, device: str | torch.device = "cpu") -> None:
        self.avatar, self.count = avatar, count
        self._torch = TorchAvatar(avatar, device)
        axes = np.ascontiguousarray(rest_axes(avatar)[:count])
        self._axes = torch.as_tensor(axes, device=device)
        self._frames: dict[bytes, SplatFrames] = {}

    def overrides(self, static: Tensor, moved: Tensor | None = None) -> dict[str, Tensor]:
        """Splat parameters for ``TorchAvatar.drive``.

        Args:
            static: (N, 10). moved: (N, 6) shift and colour that the pose adds.
        """
        p, n = self._torch.parameters, self.count
        shift = static[:, SHIFT].clamp(-_RANGES["shift"], _RANGES["shift"])
        color = (p["color"][:n] + static[:, COLOR]).clamp(0, 1)
        if moved is not None:
            shift, color = shift + moved[:, :3], color + moved[:, 3:]
        local = torch.einsum("nij,ni->nj", self._axes, shift)
        scale = static[:, LOG_SCALE].clamp(-_RANGES["log_scale"], _RANGES["log_scale"])
        logit = static[:, 9].clamp(-_RANGES["logit"], _RANGES["logit"])
        return {
            "offset": torch.cat([p["offset"][:n] + local, p["offset"][n:]]),
            "color": torch.cat([color, p["color"][n:]]),
            "log_scale": torch.cat([p["log_scale"][:n] + scale, p["log_scale"][n:]]),
            "opacity_logit": torch.cat([p["opacity_logit"][:n] + logit, p["opacity_logit"][n:]]),
        }

    def drive(self, pose: HeadPose, overrides: Mapping[str, Tensor]) -> Splats:
        """Torch splats of a pose; the vertices come from numpy, whose sparse head costs far less for a few poses."""
        key = pose.to_vector().tobytes()
        if key not in self._frames:
            self._frames[key] = self._torch.frames(self.avatar.personal.vertices(pose))
        return self._torch.place(self._frames[key], pose, overrides)
