"""Fit the splats to the photo through the rasterizer, without spoiling what the photo does not show.

Two things keep side views clean: every splat's *update* is gated by how surely the photo shows it, and every other
step also looks from a random side at what the completed splats looked like before (the anchor).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ...avatar.drive_torch import TorchAvatar
from ...avatar.types import REGIONS, Avatar, Splats
from ...camera import Camera, look_at
from ...portrait.types import PortraitFit, Progress
from ...raster import rasterize
from .losses import photo_loss

_RATES = {"color": 0.018, "opacity_logit": 0.04, "log_scale": 0.012, "offset": 1.5e-4}
_GEOMETRY_FROM = 1 / 3
_FULL_SIZE_FROM = 2 / 3
_ANCHORS = (
    (-65, 0, 4.5), (-40, 5, 4.5), (-20, -5, 2.5), (20, 5, 2.5), (40, -5, 4.5), (65, 0, 4.5),
    (3, 15, 4.5), (-3, -15, 4.5),
)  # fmt: skip
"""Yaw and pitch in degrees, and how firmly a view is held: what the photo shows clearly holds for its neighbours, but
not farther, and not from above (Cycles people: 4.5 everywhere costs .2 dB at 30 degrees, 2.5 .35 dB elsewhere)."""
_OFFSET_SCALE = 0.004
_SCALE_LIMIT = 0.45
_COLOR_PULL = 0.5
_SOFT = [REGIONS.index(name) for name in ("hair", "clothes", "skin", "neck")]
"""Regions whose unseen splats may still turn transparent where the outline says so."""


@dataclass(frozen=True)
class FitInput:
    """What the fit may use.

    Attributes:
        photo: (H, W, 3) float32 clean colours.
        confidence: (N,) 0..1, gates the colours. shape_confidence: (N,) 0..1, gates everything else.
        fade: (N,) the bust's fade, which the matte must not fight. pixels: side of the photo to look at, at most.
    """

    photo: np.ndarray
    confidence: np.ndarray
    shape_confidence: np.ndarray
    fade: np.ndarray
    pixels: int = 1024


def optimise(
    avatar: Avatar, fit: PortraitFit, evidence: FitInput, iterations: int, seed: int, device: str, progress: Progress
) -> Avatar:
    """Adam on colour first, then opacity, scale and offset as well. Deterministic on a given device."""
    if iterations <= 0:
        return avatar
    return _Fit(avatar, fit, evidence, iterations, seed, device).run(progress)


class _Fit:
    def __init__(
        self, avatar: Avatar, fit: PortraitFit, evidence: FitInput, iterations: int, seed: int, device: str
    ) -> None:
        self.avatar, self.iterations, self.device = avatar, iterations, torch.device(device)
        self.rng = np.random.default_rng(seed)
        self.splats = TorchAvatar(avatar, device)
        self.frames = self.splats.frames(avatar.personal.vertices(fit.pose))
        with torch.no_grad():
            self.quats = self.splats.place(self.frames).quats
        self.start = {k: self.splats.parameters[k].clone() for k in _RATES}
        self.values = {k: v.clone().requires_grad_() for k, v in self.start.items()}
        gate = self._tensor(_smooth(evidence.confidence / 0.25))
        shape = self._tensor(_smooth(evidence.shape_confidence / 0.25))
        outside = self._tensor(np.isin(avatar.region, _SOFT)) * 0.15
        self.gate = {"color": gate, "offset": shape, "log_scale": shape, "opacity_logit": torch.maximum(shape, outside)}
        self.doubt = (1.1 - gate)[:, None]
        self.moments = {k: (torch.zeros_like(v), torch.zeros_like(v)) for k, v in self.start.items()}
        full = min(1.0, evidence.pixels / max(fit.matte.shape))
        self.source = [self._target(fit, evidence, size * full) for size in (0.5, 1.0)]
        self.anchors = self._anchor_views(fit, full)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, np.float32), device=self.device)

    def _target(self, fit: PortraitFit, evidence: FitInput, size: float) -> tuple[Camera, Tensor, Tensor, Tensor]:
        """Camera, colours, matte and pixel weights at ``size`` times the photo's resolution."""
        h, w = (round(s * size) for s in fit.matte.shape)
        camera = fit.camera.resized(w, h)
        small = cv2.resize(evidence.photo, (w, h), interpolation=cv2.INTER_AREA)
        matte = cv2.resize(np.ascontiguousarray(fit.matte, np.float32), (w, h), interpolation=cv2.INTER_AREA)
        return camera, self._tensor(small), self._tensor(matte), self._weight(camera, evidence, matte)

    @torch.no_grad()
    def _weight(self, camera: Camera, evidence: FitInput, matte: np.ndarray) -> Tensor:
        """(H, W) 0 where the bust fades out or was never modelled, 1 elsewhere."""
        placed = self._place(self.start)
        fade = self._tensor(evidence.fade)
        solid = replace(placed, colors=fade[:, None].expand(-1, 1).contiguous(),
                        opacities=torch.full_like(placed.opacities, 0.95))  # fmt: skip
        seen = rasterize(solid, camera)
        share = seen.color[..., 0] / seen.alpha.clamp(min=1e-3)
        share = torch.where(seen.alpha > 0.5, share, torch.ones_like(share))
        rows = torch.where((seen.alpha > 0.5) & (share < 0.98))[0]
        if rows.numel():  # below the first faded row the matte shows what the avatar leaves out
            first = int(torch.quantile(rows.float(), 0.02))
            missing = (seen.alpha <= 0.5) & (torch.arange(camera.height, device=self.device)[:, None] >= first)
            share = torch.where(missing, torch.zeros_like(share), share)
        return (share > 0.98).float()

    def _anchor_views(self, fit: PortraitFit, full: float) -> list[tuple[Camera, Tensor, Tensor, float]]:
        """Side views, the untouched splats' own picture of each, and their weights."""
        marks = self.frames.centre.mean(0).cpu().numpy().astype(np.float64)
        head = self.avatar.personal.vertices(fit.pose)
        at = np.array([0.0, np.quantile(head[:, 1], 0.55), marks[2]])
        distance = float(np.linalg.norm(fit.camera.position - at)) if not fit.camera.orthographic else 1.2
        views = []
        with torch.no_grad():
            for yaw, pitch, weight in _ANCHORS:
                a, b = math.radians(yaw), math.radians(pitch)
                eye = at + distance * np.array([math.sin(a) * math.cos(b), math.sin(b), math.cos(a) * math.cos(b)])
                small = fit.camera.resized(*(round(full * s / 2) for s in (fit.camera.width, fit.camera.height)))
                camera = replace(small, viewmat=look_at(eye, at))
                seen = rasterize(self._place(self.start), camera)
                views.append((camera, seen.color, seen.alpha, weight))
        return views

    def _place(self, values: dict[str, Tensor]) -> Splats:
        """Splats in the portrait's pose. Rotations are not fitted, so their product is taken once."""
        frames = self.frames
        return Splats(
            means=frames.centre + frames.scale * (frames.axes @ values["offset"][:, :, None])[:, :, 0],
            quats=self.quats,
            scales=frames.scale * values["log_scale"].exp(),
            opacities=values["opacity_logit"].sigmoid(),
            colors=values["color"],
        )

    def run(self, progress: Progress) -> Avatar:
        for i in range(self.iterations):
            progress(i / self.iterations, "fitting to the photo")
            self._step(i)
        fitted = {k: v.detach().cpu().numpy().astype(np.float32) for k, v in self.values.items()}
        fitted["color"] = np.clip(fitted["color"], 0, 1)
        return replace(self.avatar, **fitted)

    def _step(self, i: int) -> None:
        share = i / self.iterations
        camera, target, matte, weight = self.source[int(share >= _FULL_SIZE_FROM)]
        grey = float(self.rng.uniform(0.2, 0.9))
        placed = self._place(self.values)
        seen = rasterize(placed, camera)
        loss = photo_loss(seen.color, seen.alpha, target, matte, weight, grey)
        if i % 2 == 0:
            view, color, alpha, firm = self.anchors[int(self.rng.integers(len(self.anchors)))]
            side = rasterize(placed, view)
            drift = (side.color - color).abs().mean() + (side.alpha - alpha).abs().mean()
            loss = loss + 2 * firm * drift
        moved = (self.values["offset"] - self.start["offset"]) / _OFFSET_SCALE
        tinted = (self.values["color"] - self.start["color"]) ** 2 * self.doubt
        loss = loss + 0.4 * (moved * moved).sum(1).mean() + _COLOR_PULL * tinted.sum(1).mean()
        loss.backward()
        self._update(i, share)

    @torch.no_grad()
    def _update(self, i: int, share: float) -> None:
        """Adam (Kingma and Ba 2015) whose update is multiplied by the gate: a scaled gradient would cancel out."""
        rate = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share))
        for name, value in self.values.items():
            gradient = value.grad
            value.grad = None
            if gradient is None or (name != "color" and share < _GEOMETRY_FROM):
                continue
            m, v = self.moments[name]
            m.mul_(0.9).add_(gradient, alpha=0.1)
            square = gradient * gradient
            if name == "color":  # one step length for all channels, or half-way colours change their hue
                square = square.mean(1, keepdim=True).expand_as(square)
            v.mul_(0.99).add_(square, alpha=0.01)
            step = (m / (1 - 0.9 ** (i + 1))) / ((v / (1 - 0.99 ** (i + 1))).sqrt() + 1e-12)
            gate = self.gate[name] if value.ndim == 1 else self.gate[name][:, None]
            value.sub_(_RATES[name] * rate * gate * step)
        self.values["color"].clamp_(0, 1)
        low, high = self.start["log_scale"] - _SCALE_LIMIT, self.start["log_scale"] + _SCALE_LIMIT
        self.values["log_scale"].clamp_(low, high)
        reach = 3 * _OFFSET_SCALE
        self.values["offset"].clamp_(self.start["offset"] - reach, self.start["offset"] + reach)


def _smooth(x: np.ndarray) -> np.ndarray:
    t = np.clip(x, 0, 1)
    return t * t * (3 - 2 * t)
