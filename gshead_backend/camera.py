"""The one camera type: OpenCV axes (x right, y down, z forward), ``K`` in pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .errors import ArgumentError


@dataclass(frozen=True)
class Camera:
    """A pinhole or orthographic camera.

    Pixel (0, 0) is the top-left pixel; its centre has coordinates (0.5, 0.5).

    Attributes:
        width, height: pixels, 1..16384.
        K: (3, 3) float64. Pinhole: focal lengths and principal point in pixels.
            Orthographic: ``K[0, 0]`` and ``K[1, 1]`` are pixels per metre.
        viewmat: (4, 4) float64, world to camera.
        near, far: metres along the view axis; nothing outside is drawn.
        orthographic: parallel projection.
    """

    width: int
    height: int
    K: np.ndarray
    viewmat: np.ndarray
    near: float = 0.01
    far: float = 1000.0
    orthographic: bool = False

    def __post_init__(self) -> None:
        K = np.asarray(self.K, np.float64)
        viewmat = np.asarray(self.viewmat, np.float64)
        if not (1 <= self.width <= 16384 and 1 <= self.height <= 16384):
            raise ArgumentError(f"Camera size {self.width}x{self.height} is outside 1..16384.")
        if K.shape != (3, 3) or viewmat.shape != (4, 4):
            raise ArgumentError(f"K must be (3, 3) and viewmat (4, 4), got {K.shape} and {viewmat.shape}.")
        if not (np.isfinite(K).all() and np.isfinite(viewmat).all() and K[0, 0] > 0 and K[1, 1] > 0):
            raise ArgumentError("K and viewmat must be finite and the focal lengths positive.")
        if not 0 < self.near < self.far:
            raise ArgumentError(f"Clip range must satisfy 0 < near < far, got {self.near}, {self.far}.")
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "viewmat", viewmat)

    def resized(self, width: int, height: int) -> Camera:
        """The same view at another resolution."""
        K = self.K.copy()
        K[0] *= width / self.width
        K[1] *= height / self.height
        return replace(self, width=width, height=height, K=K)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) world points to (n, 3): pixel x, pixel y, depth in metres along the view axis."""
        p = np.asarray(points) @ self.viewmat[:3, :3].T + self.viewmat[:3, 3]
        z = p[:, 2:3]
        xy = p[:, :2] if self.orthographic else p[:, :2] / z
        uv = xy @ self.K[:2, :2].T + self.K[:2, 2]
        return np.concatenate([uv, z], 1)

    @property
    def position(self) -> np.ndarray:
        """(3,) the eye point in world space."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]


def look_at(
    eye: np.ndarray, target: np.ndarray, up: np.ndarray | tuple[float, float, float] = (0.0, 1.0, 0.0)
) -> np.ndarray:
    """World-to-camera (4, 4) for an OpenCV camera at ``eye`` that sees ``target``, with ``up`` up."""
    eye, target = np.asarray(eye, np.float64), np.asarray(target, np.float64)
    z = target - eye
    z = z / np.linalg.norm(z)
    x = np.cross(z, np.asarray(up, np.float64))
    x = x / np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = R, -R @ eye
    return out


def orbit_camera(
    yaw: float,
    pitch: float = 0.0,
    *,
    size: tuple[int, int] = (512, 512),
    focal_mm: float = 85.0,
    distance: float = 1.2,
    target: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Camera:
    """A camera around a head that faces +Z.

    Args:
        yaw, pitch: degrees; positive yaw moves the camera toward the head's left (+X), positive pitch up.
        size: (width, height) pixels.
        focal_mm: 36 mm-sensor focal length over the longer side.
        distance: metres from ``target``.
    """
    a, b = np.radians(yaw), np.radians(pitch)
    eye = np.array(target) + distance * np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    f = focal_mm / 36.0 * max(size)
    K = np.array([[f, 0, size[0] / 2], [0, f, size[1] / 2], [0, 0, 1.0]])
    return Camera(size[0], size[1], K, look_at(eye, np.array(target)))
