"""A z-buffer mesh renderer, for looking at heads and for finding landmarks on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...camera import Camera

_LIGHTS = (((0.35, 0.55, 0.75), 0.78), ((-0.8, 0.15, 0.45), 0.26), ((0.5, -0.2, -0.8), 0.22))
_AMBIENT = 0.16


@dataclass(frozen=True)
class Hits:
    """What each pixel sees. triangle: (H, W) int32, -1 for nothing. bary: (H, W, 3) perspective-correct."""

    triangle: np.ndarray
    bary: np.ndarray
    depth: np.ndarray


@njit(cache=True)
def _scan(p: np.ndarray, faces: np.ndarray, near: float, tri: np.ndarray, bary: np.ndarray, depth: np.ndarray) -> None:
    height, width = tri.shape
    for f in range(faces.shape[0]):
        a, b, c = p[faces[f, 0]], p[faces[f, 1]], p[faces[f, 2]]
        if a[2] < near or b[2] < near or c[2] < near:
            continue
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-12:
            continue
        x0 = max(0, int(np.floor(min(a[0], b[0], c[0]) - 0.5)))
        x1 = min(width - 1, int(np.ceil(max(a[0], b[0], c[0]) - 0.5)))
        y0 = max(0, int(np.floor(min(a[1], b[1], c[1]) - 0.5)))
        y1 = min(height - 1, int(np.ceil(max(a[1], b[1], c[1]) - 0.5)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                u = ((b[0] - px) * (c[1] - py) - (b[1] - py) * (c[0] - px)) / area
                v = ((c[0] - px) * (a[1] - py) - (c[1] - py) * (a[0] - px)) / area
                w = 1.0 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                inverse = u / a[2] + v / b[2] + w / c[2]
                z = 1.0 / inverse
                if z < depth[y, x]:
                    depth[y, x] = z
                    tri[y, x] = f
                    bary[y, x, 0] = u / a[2] * z
                    bary[y, x, 1] = v / b[2] * z
                    bary[y, x, 2] = w / c[2] * z


def cast(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> Hits:
    """The nearest triangle under every pixel centre (both sides count)."""
    projected = camera.project(np.asarray(vertices, np.float64))
    tri = np.full((camera.height, camera.width), -1, np.int32)
    bary = np.zeros((camera.height, camera.width, 3))
    depth = np.full((camera.height, camera.width), np.inf)
    _scan(projected, np.ascontiguousarray(faces, np.int64), camera.near, tri, bary, depth)
    return Hits(tri, bary, depth)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, area weighted."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros(vertices.shape)
    for axis in range(3):
        out[:, axis] = sum(np.bincount(faces[:, k], face[:, axis], vertices.shape[0]) for k in range(3))
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-20)


def shade(
    vertices: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    camera: Camera,
    *,
    gloss: np.ndarray | None = None,
    supersample: int = 2,
    background: float = 1.0,
) -> np.ndarray:
    """A studio-lit picture: three lights that turn with the camera, soft highlight.

    Args:
        colors: (V, 3) linear 0..1. gloss: (V,) strength of the highlight, 0.15 when absent.
    Returns:
        (H, W, 3) uint8 sRGB.
    """
    big = camera.resized(camera.width * supersample, camera.height * supersample)
    hits = cast(vertices, faces, big)
    seen = hits.triangle >= 0
    corner, w = faces[hits.triangle[seen]], hits.bary[seen][:, :, None]
    normals = (vertex_normals(vertices, faces)[corner] * w).sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    to_eye = camera.position - (vertices[corner] * w).sum(1)
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    normals = np.where((normals * to_eye).sum(1, keepdims=True) < 0, -normals, normals)
    strength = np.full(len(vertices), 0.15) if gloss is None else gloss
    strength = (strength[corner] * w[:, :, 0]).sum(1)
    # Light directions are given in the viewer's frame (x right, y up, z toward the viewer).
    to_world = camera.viewmat[:3, :3].T @ np.diag([1.0, -1.0, -1.0])
    diffuse, shine = np.full(len(normals), _AMBIENT), np.zeros(len(normals))
    for direction, power in _LIGHTS:
        light = to_world @ (np.array(direction) / np.linalg.norm(direction))
        diffuse += power * np.clip(normals @ light, 0, None)
        half = light + to_eye
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        shine += power * np.clip((normals * half).sum(1), 0, 1) ** 28
    image = np.full((big.height, big.width, 3), background)
    image[seen] = (colors[corner] * w).sum(1) * diffuse[:, None] + (strength * shine)[:, None]
    image = image.reshape(camera.height, supersample, camera.width, supersample, 3).mean((1, 3))
    image = np.clip(image, 0, 1)
    encoded = np.where(image <= 0.0031308, 12.92 * image, 1.055 * image ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)
