"""The slow, readable rasterizer that the fast ones are tested against. Plain torch, autograd all the way.

EWA splatting (Zwicker et al. 2001) as in 3D Gaussian splatting (Kerbl et al. 2023): every Gaussian is projected by the
affine approximation of the camera at its mean, sorted by the depth of the mean, and blended front to back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..avatar.drive_torch import quat_to_matrix
from ..avatar.types import Splats
from ..camera import Camera
from .compose import finish
from .constants import ALPHA_MAX, ALPHA_MIN, BLUR, FRUSTUM_MARGIN, TILE, TRANSMITTANCE_STOP
from .types import Rendered


@dataclass(frozen=True)
class Projected:
    """The M splats between the clip planes, nearest first.

    Attributes:
        index: (M,) into the splats. means2d: (M, 2) pixels. conics: (M, 3) inverse covariance xx, xy, yy, 1/px².
        depths: (M,) metres. opacities: (M,). radii: (M, 2) pixels beyond which alpha < 1/255.
    """

    index: Tensor
    means2d: Tensor
    conics: Tensor
    depths: Tensor
    opacities: Tensor
    radii: Tensor


def project(splats: Splats, camera: Camera) -> Projected:
    """Project and sort; computed in the dtype of ``splats.means``."""
    like = splats.means
    view = like.new_tensor(camera.viewmat)
    fx, fy = float(camera.K[0, 0]), float(camera.K[1, 1])
    cx, cy = float(camera.K[0, 2]), float(camera.K[1, 2])
    p = splats.means @ view[:3, :3].T + view[:3, 3]
    z = p[:, 2].detach()
    order = torch.argsort(z, stable=True)
    index = order[(z[order] >= camera.near) & (z[order] <= camera.far)]
    x, y, z = p[index].unbind(1)
    one, zero = torch.ones_like(z), torch.zeros_like(z)
    if camera.orthographic:
        means2d = torch.stack([fx * x + cx, fy * y + cy], 1)
        J = torch.stack([fx * one, zero, zero, zero, fy * one, zero], 1)
    else:
        means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], 1)
        margin_x, margin_y = FRUSTUM_MARGIN * 0.5 * camera.width / fx, FRUSTUM_MARGIN * 0.5 * camera.height / fy
        tx = z * (x / z).clamp(-cx / fx - margin_x, (camera.width - cx) / fx + margin_x)
        ty = z * (y / z).clamp(-cy / fy - margin_y, (camera.height - cy) / fy + margin_y)
        J = torch.stack([fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2], 1)
    M = view[:3, :3] @ quat_to_matrix(splats.quats[index]) * splats.scales[index, None, :]
    U = J.reshape(-1, 2, 3) @ M
    cov = U @ U.transpose(1, 2) + BLUR * torch.eye(2, dtype=like.dtype, device=like.device)
    det = cov[:, 0, 0] * cov[:, 1, 1] - cov[:, 0, 1] ** 2
    conics = torch.stack([cov[:, 1, 1], -cov[:, 0, 1], cov[:, 0, 0]], 1) / det[:, None]
    opacities = splats.opacities[index].clamp(max=1.0)
    extent = (2 * (opacities.detach() / ALPHA_MIN).clamp(min=1e-12).log()).clamp(min=0).sqrt()
    radii = extent[:, None] * cov.detach().diagonal(dim1=1, dim2=2).sqrt()
    keep = (opacities.detach() >= ALPHA_MIN) & (det.detach() > 0)
    return Projected(index[keep], means2d[keep], conics[keep], z[keep], opacities[keep], radii[keep])


def blend_weights(p: Projected, px: Tensor, py: Tensor) -> Tensor:
    """(P, M) share of each splat in each of P pixels at coordinates ``px``, ``py`` (pixel centres are at .5)."""
    dx, dy = px[:, None] - p.means2d[:, 0], py[:, None] - p.means2d[:, 1]
    a, b, c = p.conics.unbind(1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = (p.opacities * torch.exp(-sigma.clamp(min=0))).clamp(max=ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
    return torch.where(after > TRANSMITTANCE_STOP, alpha * before, torch.zeros_like(alpha))


def rasterize_reference(splats: Splats, camera: Camera, background: Tensor | None = None) -> Rendered:
    """Render torch splats; differentiable in all of them."""
    p = project(splats, camera)
    features = torch.cat([splats.colors[p.index], p.depths[:, None], torch.ones_like(p.depths)[:, None]], 1)
    low, high = (p.means2d - p.radii).detach(), (p.means2d + p.radii).detach()
    rows = []
    for y0 in range(0, camera.height, TILE):
        row = []
        for x0 in range(0, camera.width, TILE):
            x1, y1 = min(x0 + TILE, camera.width), min(y0 + TILE, camera.height)
            near = (high[:, 0] > x0) & (low[:, 0] < x1) & (high[:, 1] > y0) & (low[:, 1] < y1)
            row.append(_tile(p, features, near.nonzero()[:, 0], (x0, y0, x1, y1)))
        rows.append(torch.cat(row, 1))
    image = torch.cat(rows, 0)
    return finish(image[..., :-2], image[..., -1], image[..., -2], background)


def _tile(p: Projected, features: Tensor, at: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """(h, w, F) features blended inside one tile by the splats ``at``."""
    x0, y0, x1, y1 = box
    like = p.means2d
    px = torch.arange(x0, x1, dtype=like.dtype, device=like.device) + 0.5
    py = torch.arange(y0, y1, dtype=like.dtype, device=like.device) + 0.5
    yy, xx = torch.meshgrid(py, px, indexing="ij")
    here = Projected(p.index[at], p.means2d[at], p.conics[at], p.depths[at], p.opacities[at], p.radii[at])
    weights = blend_weights(here, xx.reshape(-1), yy.reshape(-1))
    return (weights @ features[at]).reshape(y1 - y0, x1 - x0, -1)
