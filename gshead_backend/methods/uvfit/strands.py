"""Hair as strands: splats stretched along their direction, and a plausible grain where the photo shows no hair."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import map_coordinates
from scipy.stats import norm

from ...portrait.types import PortraitFit
from .cloud import Cloud
from .photo import View, sample, unit_scale
from .surface import HeadSurface, smoothstep

_WHORL = np.array([0.12, 0.83, -0.55])
_OCTAVES = ((30, 3, 0.22), (110, 5, 0.6), (260, 9, 0.6))
"""Cells around the whorl, cells from whorl to nape, amplitude."""
_STRETCH = (1.5, 0.72, 1.0)


def comb(fit: PortraitFit, surface: HeadSurface, cloud: Cloud, view: View) -> None:
    """Turn hair splats along their strands and stretch them: the photo's direction where seen, else off the whorl."""
    hair = np.flatnonzero(cloud.hair > 0.5)
    if hair.size == 0:
        return
    polar, away = _whorl_frame(surface, cloud, hair)
    direction, coherence = _photo_direction(fit, cloud, hair, view)
    seen = smoothstep(cloud.confidence[hair], 0.03, 0.2) * smoothstep(coherence, 0.12, 0.4)
    sign = np.sign((direction * away).sum(1) + 1e-9)[:, None]
    t = seen[:, None] * direction * sign + (1 - seen)[:, None] * away
    n = cloud.normal[hair]
    t -= n * (n * t).sum(1, keepdims=True)
    cloud.tangent[hair] = t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-9)
    sure = np.where(cloud.confidence[hair] > 0.05, smoothstep(coherence, 0.1, 0.35), smoothstep(polar, 0.1, 0.4))
    cloud.sigma[hair] *= 1 + sure[:, None] * (np.array(_STRETCH) - 1)


def grain(cloud: Cloud, surface: HeadSurface, photo: np.ndarray, hair_pixels: np.ndarray, seed: int) -> None:
    """Give unseen hair the brightness distribution of the hair in the photo, laid out as strands.

    Args:
        photo: (H, W, 3) 0..1. hair_pixels: (H, W) bool, surely hair.
    """
    hair = np.flatnonzero(cloud.hair > 0.5)
    if hair.size == 0 or hair_pixels.sum() < 200:
        return
    rng = np.random.default_rng(seed + 7)
    noise = _strand_noise(rng, *_whorl_angles(surface, cloud, hair))
    noise = (noise - noise.mean()) / max(noise.std(), 1e-6)
    table = detail_table(photo, hair_pixels)
    level = norm.cdf(noise) * (table.size - 1)
    ratio = np.interp(level, np.arange(table.size), table)
    tinted = _tint(cloud.color[hair] * ratio[:, None], photo[hair_pixels])
    unseen = (1 - smoothstep(cloud.confidence[hair], 0.05, 0.55))[:, None]
    cloud.color[hair] = np.clip((1 - unseen) * cloud.color[hair] + unseen * tinted, 0, 1)


def _tint(color: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The hue that the photo's hair has at each brightness: lit strands are paler, not just brighter."""
    grey = pixels.mean(1)
    edges = np.quantile(grey, np.linspace(0, 1, 13))
    bins = np.clip(np.searchsorted(edges, grey) - 1, 0, 11)
    count = np.maximum(np.bincount(bins, minlength=12), 1)
    mean = np.stack([np.bincount(bins, pixels[:, c], 12) / count for c in range(3)], 1)
    level = mean.mean(1)
    wanted = color.mean(1)
    hue = np.stack([np.interp(wanted, level, mean[:, c] / np.maximum(level, 0.02)) for c in range(3)], 1)
    return 0.25 * color + 0.75 * hue * wanted[:, None]


def detail_table(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(33,) quantiles of pixel brightness over the local mean, inside the hair."""
    grey = photo.mean(2).astype(np.float32)
    weight = mask.astype(np.float32)
    sigma = 7 * unit_scale(photo)
    mean = cv2.GaussianBlur(grey * weight, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
    ratio = (grey / np.maximum(mean, 0.02))[mask]
    table = np.quantile(ratio, np.linspace(0.02, 0.98, 33))
    return np.clip(table / np.median(ratio), 0.6, 1.5)


def _whorl_axis() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = _WHORL / np.linalg.norm(_WHORL)
    side = np.cross(np.array([0.0, 0.0, 1.0]), axis)
    side /= np.linalg.norm(side)
    return axis, side, np.cross(axis, side)


def _whorl_angles(surface: HeadSurface, cloud: Cloud, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle around the whorl (0..1) and from it (0..1), about the cranium's centre."""
    axis, side, front = _whorl_axis()
    d = cloud.mean[index] - surface.crown
    d = d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
    around = np.arctan2(d @ front, d @ side) / (2 * np.pi) + 0.5
    return around, np.arccos(np.clip(d @ axis, -1, 1)) / np.pi


def _whorl_frame(surface: HeadSurface, cloud: Cloud, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle from the whorl (rad) and unit direction away from it, bent down by gravity at the sides and back."""
    axis, _, _ = _whorl_axis()
    _, polar = _whorl_angles(surface, cloud, index)
    d = cloud.mean[index] - surface.crown
    d = d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
    away = d * (d @ axis)[:, None] - axis
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    away[:, 1] -= 0.6 * smoothstep(polar, 0.3, 0.6)
    return polar * np.pi, away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)


def _strand_noise(rng: np.random.Generator, around: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """Value noise, fine across the strands and slow along them; wavy like combed hair."""
    wave = rng.normal(size=(9, 7))
    bend = map_coordinates(wave, [around * 9, polar * 6], order=3, mode="grid-wrap")
    around = around + 0.012 * bend * smoothstep(polar, 0.05, 0.3)
    total = np.zeros_like(around)
    for across, along, amplitude in _OCTAVES:
        grid = rng.normal(size=(across, along + 2))
        total += amplitude * map_coordinates(grid, [around * across, polar * along], order=3, mode="grid-wrap")
    return total


def _photo_direction(
    fit: PortraitFit, cloud: Cloud, index: np.ndarray, view: View
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Strand direction (N, 3) and coherence (N,) 0..1 from the structure tensor of the photo."""
    scale = unit_scale(fit.image)
    grey = cv2.cvtColor(fit.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(a, (0, 0), 4 * scale) for a in (gx * gx, gy * gy, gx * gy))
    uv = view.pixels(cloud.posed[index])[0]
    xx, yy, xy = (sample(a, uv).astype(np.float64) for a in (xx, yy, xy))
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / np.maximum(xx + yy, 1e-6)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2  # along the edge
    right, down = fit.camera.viewmat[0, :3], fit.camera.viewmat[1, :3]
    return np.cos(angle)[:, None] * right + np.sin(angle)[:, None] * down, coherence
