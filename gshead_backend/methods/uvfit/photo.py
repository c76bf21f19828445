"""The portrait as evidence: colours free of background, pixel look-ups, per-point confidence."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...camera import Camera
from .zbuffer import depth_map

VISIBLE_WITHIN = 0.003
_OCCLUDER_GAP = 0.008
_RIM = 40.0  # pixels of a 512-pixel crop within which hair lets the background through
_INWARD = 3  # how much more hair counts as its own colour the farther in it lies
_CONTRAST = 0.12  # between hair and background, below which mixtures cannot be told
_MIXED = 0.15  # share of background that may as well be a highlight


def unit_scale(image: np.ndarray) -> float:
    """Pixels of this image per pixel of a 512-pixel crop."""
    return image.shape[0] / 512.0


def disc(radius: float) -> np.ndarray:
    """Elliptic structuring element of the given pixel radius (at least 1)."""
    r = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))


def decontaminate(image: np.ndarray, matte: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 0..1: colours near and outside the matte's edge replaced by ones from the inside.

    A portrait's edge pixels hold background light; unprojected they become a bright rim along jaw and hair.
    ``hair`` (H, W): probability, for ``unmixed``.
    """
    scale = unit_scale(image)
    color = image.astype(np.float32) / 255.0
    trusted = cv2.erode((matte > 0.9).astype(np.float32), disc(3 * scale))
    color = unmixed(color, matte, hair)
    out, known = color * trusted[..., None], trusted.copy()
    filled = color.copy()
    todo = trusted < 0.5
    sigma = 2.5 * scale
    for _ in range(6):
        weight = cv2.GaussianBlur(known, (0, 0), sigma)
        mean = cv2.GaussianBlur(out, (0, 0), sigma) / np.maximum(weight, 1e-6)[..., None]
        fresh = todo & (weight > 0.02)
        filled[fresh] = mean[fresh]
        todo &= ~fresh
        known = np.where(fresh, 1.0, known).astype(np.float32)
        out = filled * known[..., None]
        sigma *= 1.7
    filled[todo] = color[trusted > 0.5].mean(0) if trusted.any() else color.mean((0, 1))
    return filled


def unmixed(color: np.ndarray, matte: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(H, W, 3) the colours of hair near the outline without the background that shines through.

    A matte says "person" all over fine or curly hair. Between the colour of the hair farther in and that of the
    background farther out, a pixel's own colour tells its mixture (the compositing equation, solved for alpha); what
    exceeds a little, which may be a highlight, is taken out along that line, and the strands' other detail stays.
    """
    inside = (matte > 0.9) & (hair > 0.5)
    outside = (matte < 0.05).astype(np.float32)
    if inside.sum() < 200 or outside.sum() < 200:
        return color
    height, width = matte.shape
    sigma = _RIM * unit_scale(color)
    depth = cv2.distanceTransform((matte > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / sigma

    def mean(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        layers = cv2.resize(
            np.dstack([color * weight[..., None], weight]), (128, 128 * height // width), interpolation=cv2.INTER_AREA
        )  # wide averages need no more pixels
        layers = cv2.GaussianBlur(layers, (0, 0), sigma * 128 / width)
        layers = cv2.resize(layers, (width, height), interpolation=cv2.INTER_LINEAR)
        return layers[..., :3] / np.maximum(layers[..., 3:], 1e-4), layers[..., 3]

    within, _ = mean((inside * np.minimum(depth, 1.0) ** _INWARD).astype(np.float32))
    beyond, known = mean(outside)
    across = beyond - within
    square = (across**2).sum(2)
    share = ((color - within) * across).sum(2) / np.maximum(square, 1e-4)
    near = np.clip(1.5 - 2 * depth, 0, 1) * np.clip((hair - 0.3) / 0.3, 0, 1) * (known > 0.02) * (square > _CONTRAST**2)
    return np.clip(color - (near * np.clip(share - _MIXED, 0, 1))[..., None] * across, 0, 1).astype(np.float32)


def sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values of (H, W[, C]) float32 at (N, 2) pixel positions; borders repeat."""
    x = pixels[:, 0].astype(np.float32).reshape(1, -1) - 0.5
    y = pixels[:, 1].astype(np.float32).reshape(1, -1) - 0.5
    parts = []
    for start in range(0, x.shape[1], 32000):  # cv2.remap takes at most 32767 columns
        parts.append(
            cv2.remap(image, x[:, start : start + 32000], y[:, start : start + 32000], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)[0]
        )  # fmt: skip
    return np.concatenate(parts) if parts else np.zeros((0, *image.shape[2:]), np.float32)


@dataclass(frozen=True)
class View:
    """A mesh seen by the portrait's camera.

    depth: (H, W) metres. triangle: (H, W) index or -1. near: (H, W) nearest depth within 2 pixels.
    """

    camera: Camera
    depth: np.ndarray
    triangle: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> View:
        depth, triangle = depth_map(vertices, faces, camera)
        near = cv2.erode(np.where(np.isfinite(depth), depth, 1e3).astype(np.float32), disc(2 * camera.height / 512))
        return cls(camera, depth, triangle, near)

    def pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of (N, 3) points: (N, 2) pixel positions, (N,) depth, integer rows and columns clipped to the image."""
        uvz = self.camera.project(points)
        column = np.clip(np.floor(uvz[:, 0]), 0, self.camera.width - 1).astype(np.intp)
        row = np.clip(np.floor(uvz[:, 1]), 0, self.camera.height - 1).astype(np.intp)
        return uvz[:, :2], uvz[:, 2], row, column

    def visibility(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(N,) 0..1: in front of the mesh within 3 mm, times facing squared; 0 next to an occluder's edge.

        The edge margin keeps a chin's colours off the neck when the fit is a pixel or two wrong.
        """
        uv, z, row, column = self.pixels(points)
        inside = (uv[:, 0] > 0) & (uv[:, 1] > 0) & (uv[:, 0] < self.camera.width) & (uv[:, 1] < self.camera.height)
        seen = inside & (z < self.depth[row, column] + VISIBLE_WITHIN)
        clear = z < self.near[row, column] + _OCCLUDER_GAP
        return np.where(seen & clear, self.facing(points, normals) ** 2, 0.0)

    def facing(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(N,) cosine between the normal and the direction to the camera, clipped at 0."""
        if self.camera.orthographic:
            to_eye = np.broadcast_to(-self.camera.viewmat[2, :3], points.shape)
        else:
            to_eye = self.camera.position - points
            to_eye = to_eye / np.linalg.norm(to_eye, axis=1, keepdims=True)
        return np.clip((to_eye * normals).sum(1), 0.0, 1.0)
