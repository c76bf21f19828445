"""A z-buffer of the head's mesh from the portrait's camera: who is in front at every pixel."""

from __future__ import annotations

import numba
import numpy as np

from ...camera import Camera


@numba.njit(cache=True, nogil=True)
def _rasterize(points: np.ndarray, faces: np.ndarray, depth: np.ndarray, triangle: np.ndarray) -> None:
    """Fill ``depth`` (H, W) and ``triangle`` (H, W) with the nearest triangle whose projection covers the pixel."""
    height, width = depth.shape
    for f in range(faces.shape[0]):
        ax, ay, az = points[faces[f, 0]]
        bx, by, bz = points[faces[f, 1]]
        cx, cy, cz = points[faces[f, 2]]
        if az <= 1e-6 or bz <= 1e-6 or cz <= 1e-6:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        x0 = max(int(np.floor(min(ax, bx, cx) - 0.5)), 0)
        x1 = min(int(np.ceil(max(ax, bx, cx) - 0.5)), width - 1)
        y0 = max(int(np.floor(min(ay, by, cy) - 0.5)), 0)
        y1 = min(int(np.ceil(max(ay, by, cy) - 0.5)), height - 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                w = 1.0 - u - v
                if u < -1e-6 or v < -1e-6 or w < -1e-6:
                    continue
                z = 1.0 / (u / az + v / bz + w / cz)
                if z < depth[y, x]:
                    depth[y, x] = z
                    triangle[y, x] = f


def depth_map(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Nearest depth (H, W) in metres (+inf outside) and triangle index (H, W) int32 (-1 outside)."""
    depth = np.full((camera.height, camera.width), np.inf)
    triangle = np.full(depth.shape, -1, np.int32)
    _rasterize(camera.project(np.asarray(vertices, np.float64)), np.ascontiguousarray(faces), depth, triangle)
    return depth, triangle


def far_depth_map(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Farthest depth (H, W) in metres, -inf outside, and triangle index (H, W), -1 outside: the mesh's other side."""
    points = camera.project(np.asarray(vertices, np.float64))
    nearest = points[:, 2].min()
    depth = np.full((camera.height, camera.width), np.inf)
    triangle = np.full(depth.shape, -1, np.int32)
    if nearest <= 1e-6:
        return -depth, triangle
    turned = 2.0 / nearest  # what is farther comes first when 1 / z, which is linear in the picture, is taken from it
    points[:, 2] = 1.0 / (turned - 1.0 / points[:, 2])
    _rasterize(points, np.ascontiguousarray(faces), depth, triangle)
    return np.where(np.isfinite(depth), 1.0 / (turned - 1.0 / depth), -np.inf), triangle
