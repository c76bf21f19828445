"""Blender cameras to OpenCV cameras, exactly. No bpy here: objects are only read.

The formulas are Blender's own ``BKE_camera_params_compute_viewplane``: with ``viewfac`` pixels across the fitted side,
``pixsize = sensor * near / (lens * viewfac)``, the view plane spans ``width * pixsize`` by
``ycor * height * pixsize`` around the shift, ``ycor`` being the pixel aspect ratio y / x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gshead_backend.camera import Camera
from gshead_backend.errors import ArgumentError

# Blender cameras look along -Z with Y up; OpenCV's along +Z with Y down.
BLENDER_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


def render_size(render: Any) -> tuple[int, int]:
    """(width, height) pixels of the full frame: resolution times percentage, truncated as Blender does."""
    scale = render.resolution_percentage
    return max(1, render.resolution_x * scale // 100), max(1, render.resolution_y * scale // 100)


def render_region(render: Any) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the render region in pixels of the full frame, y counted from the bottom."""
    width, height = render_size(render)
    if not render.use_border:
        return 0, 0, width, height
    x0, x1 = (int(np.clip(v, 0, 1) * width) for v in (render.border_min_x, render.border_max_x))
    y0, y1 = (int(np.clip(v, 0, 1) * height) for v in (render.border_min_y, render.border_max_y))
    if x1 <= x0 or y1 <= y0:
        return 0, 0, width, height
    return x0, y0, x1 - x0, y1 - y0


def render_camera(camera: Any, render: Any, *, matrix: Any = None, shift_x: float | None = None) -> Camera:
    """The camera of a final render, cropped to the render region.

    Args:
        camera: a (preferably evaluated) camera object.
        render: ``scene.render``.
        matrix: camera to world, when the engine overrides it (stereo). shift_x: likewise.

    Raises:
        ArgumentError: panoramic or custom cameras, which no rasterizer of this project can draw.
    """
    data = camera.data
    if data.type not in ("PERSP", "ORTHO"):
        raise ArgumentError(
            f"Camera '{camera.name}' is of type {data.type}; Gaussian heads need a perspective or orthographic one.",
            remedy="Set the camera's type to Perspective or Orthographic.",
        )
    width, height = render_size(render)
    shift = (data.shift_x if shift_x is None else shift_x, data.shift_y)
    ycor = render.pixel_aspect_y / render.pixel_aspect_x
    fit = data.sensor_fit
    if fit == "AUTO":
        wide = render.pixel_aspect_x * width >= render.pixel_aspect_y * height
        sensor, fit = data.sensor_width, "HORIZONTAL" if wide else "VERTICAL"
    else:
        sensor = data.sensor_height if fit == "VERTICAL" else data.sensor_width
    viewfac = width if fit == "HORIZONTAL" else ycor * height
    fx = viewfac / data.ortho_scale if data.type == "ORTHO" else data.lens * viewfac / sensor
    x, y, region_width, region_height = render_region(render)
    top = height - y - region_height
    K = np.array(
        [
            [fx, 0.0, width / 2 - shift[0] * viewfac - x],
            [0.0, fx / ycor, height / 2 + shift[1] * viewfac / ycor - top],
            [0.0, 0.0, 1.0],
        ]
    )
    near, far = max(data.clip_start, 1e-6), data.clip_end
    viewmat = view_matrix(np.array(camera.matrix_world if matrix is None else matrix, np.float64))
    return Camera(region_width, region_height, K, viewmat, near, max(far, near * (1 + 1e-6)), data.type == "ORTHO")


def view_matrix(camera_to_world: np.ndarray) -> np.ndarray:
    """World to OpenCV camera (4, 4); the camera object's scale is ignored, as Blender does."""
    rigid = camera_to_world.copy()
    rigid[:3, :3] /= np.linalg.norm(rigid[:3, :3], axis=0)
    return BLENDER_TO_OPENCV @ np.linalg.inv(rigid)


def viewport_camera(window_matrix: Any, view_matrix: Any, width: int, height: int) -> Camera:
    """The camera of a 3D viewport from its OpenGL projection (4, 4) and world-to-view (4, 4) matrices.

    Works for free, camera and orthographic views with any lens, shift and zoom. An orthographic view also shows what
    lies behind its eye point, so the eye is moved back until the clip range is positive.
    """
    P = np.array(window_matrix, np.float64)
    viewmat = BLENDER_TO_OPENCV @ np.array(view_matrix, np.float64)
    orthographic = abs(P[3, 3]) > 0.5
    if orthographic:
        fx, fy = P[0, 0] * width / 2, P[1, 1] * height / 2
        cx, cy = (1 + P[0, 3]) * width / 2, (1 - P[1, 3]) * height / 2
        near, far = (P[2, 3] + 1) / P[2, 2], (P[2, 3] - 1) / P[2, 2]
        back = max(0.0, 1e-3 - near)
        viewmat[2, 3] += back
        near, far = near + back, far + back
    else:
        fx, fy = P[0, 0] * width / 2, P[1, 1] * height / 2
        cx, cy = (1 - P[0, 2]) * width / 2, (1 + P[1, 2]) * height / 2
        near, far = P[2, 3] / (P[2, 2] - 1), P[2, 3] / (P[2, 2] + 1)
        near = max(near, 1e-6)
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    return Camera(width, height, K, viewmat, near, max(far, near * (1 + 1e-6)), orthographic)


def depth_to_ndc(
    window_matrix: Any, view_matrix: Any, camera: Camera, *, nearer: float = 0.0
) -> tuple[float, float, float, float]:
    """(a, b, c, d) with which depth in metres of ``camera`` is OpenGL's depth: ``(a z + b) / (c z + d)`` in -1..1.

    Args:
        window_matrix, view_matrix: those that ``viewport_camera`` made ``camera`` of.
        nearer: metres that everything moves toward the eye.
    """
    P = np.array(window_matrix, np.float64)
    back = camera.viewmat[2, 3] - (BLENDER_TO_OPENCV @ np.array(view_matrix, np.float64))[2, 3]
    back += nearer
    a, b = -P[2, 2], P[2, 3] + back * P[2, 2]
    c, d = -P[3, 2], P[3, 3] + back * P[3, 2]
    return float(a), float(b), float(c), float(d)


def clip_planes(planes: Any, camera: Camera) -> np.ndarray:
    """(4, 4) rows (a, b, c, d) of a viewport's clipping region (Alt B): a point is seen where none is negative.

    The point has depth z and lies at u, v, 0..1 from the frame's upper left corner; with s = z in a perspective view
    and 1 in an orthographic one a row is ``s (a u + b v) + c z + d``.

    Args:
        planes: four rows of world coordinates, ``RegionView3D.clip_planes``; inside is positive.
    """
    x, y, z, w = (np.array(planes, np.float64).reshape(-1, 4)[:4] @ np.linalg.inv(camera.viewmat)).T
    (fx, _, cx), (_, fy, cy) = camera.K[:2]
    a, b, offset = x * camera.width / fx, y * camera.height / fy, -x * cx / fx - y * cy / fy
    return np.stack([a, b, z, w + offset] if camera.orthographic else [a, b, z + offset, w], 1)


SEEN_EVERYWHERE = np.tile([0.0, 0.0, 0.0, 1.0], (4, 1))
"""``clip_planes`` of a view without a clipping region."""
