"""Eyeballs: procedural iris, pupil, limbus and sclera in the colours that the photo shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...portrait.types import PortraitFit
from .classes import polygon
from .cloud import Cloud
from .photo import View, disc, sample, unit_scale
from .surface import EYE_LEFT, EYE_RIGHT, HeadSurface, smoothstep

_IRIS_RADIUS = (0.0050, 0.0068)
_DEFAULT_IRIS, _DEFAULT_SCLERA = np.array([0.30, 0.21, 0.15]), np.array([0.80, 0.76, 0.74])


@dataclass(frozen=True)
class EyeMarks:
    """Landmark indices of one eye: its opening, its iris centre and the four points on the iris' rim."""

    part: str
    opening: tuple[int, ...]
    centre: int
    rim: tuple[int, ...]


EYES = (
    EyeMarks("eye_right", EYE_RIGHT, 468, (469, 470, 471, 472)),
    EyeMarks("eye_left", EYE_LEFT, 473, (474, 475, 476, 477)),
)


def paint_eyes(
    fit: PortraitFit, surface: HeadSurface, cloud: Cloud, photo: np.ndarray, view: View, rest: np.ndarray
) -> None:
    """Colour both eyeballs; what the photo shows of them is mixed in where it is surely eye."""
    measured = [_measure(fit, surface, cloud, photo, view, rest, eye) for eye in EYES]
    known = [m for m in measured if m is not None]
    if not known:
        return
    iris = np.mean([m["iris"] for m in known], axis=0)
    sclera = np.mean([m["sclera"] for m in known], axis=0)
    for m in known:
        _paint(cloud, m, iris, sclera)


def _measure(
    fit: PortraitFit, surface: HeadSurface, cloud: Cloud, photo: np.ndarray, view: View, rest: np.ndarray,
    eye: EyeMarks,
) -> dict | None:  # fmt: skip
    mine = np.flatnonzero(cloud.is_part(eye.part))
    if mine.size < 20:
        return None
    ball = np.unique(surface.faces[surface.part == surface.part[cloud.triangle[mine[0]]]])
    centre, radius = fit_sphere(rest[ball])
    axis = _optical_axis(rest[ball], centre, radius)
    direction = cloud.rest[mine] - centre
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    theta = np.arccos(np.clip(direction @ axis, -1, 1))
    uv, z, _, _ = view.pixels(cloud.posed[mine])
    metres = float(np.median(z)) / fit.camera.K[0, 0] if not fit.camera.orthographic else 1 / fit.camera.K[0, 0]
    rim = np.linalg.norm(fit.landmarks[list(eye.rim)] - fit.landmarks[eye.centre], axis=1).mean()
    alpha = np.arcsin(np.clip(float(rim) * metres, *_IRIS_RADIUS) / radius)
    # Register the ball to the iris landmark: a gaze that is 2 degrees off would smear iris over the white.
    front = uv[np.argsort(theta)[: max(4, mine.size // 200)]].mean(0)
    shift = np.clip(fit.landmarks[eye.centre] - front, -6 * unit_scale(fit.image), 6 * unit_scale(fit.image))
    uv = uv + shift
    scale = unit_scale(fit.image)
    opening = cv2.erode(polygon(fit.landmarks, eye.opening, fit.matte.shape).astype(np.float32), disc(1.2 * scale))
    seen = sample(opening, uv) * (view.facing(cloud.posed[mine], cloud.posed_normal[mine]) > 0.3)
    color = sample(photo, uv).astype(np.float64)
    return {
        "index": mine,
        "theta": theta / alpha,
        "direction": direction,
        "axis": axis,
        "color": color,
        "seen": seen,
        "iris": _robust(color, (seen > 0.8) & (theta > 0.5 * alpha) & (theta < 0.85 * alpha), 0.3, 0.75, _DEFAULT_IRIS),
        "sclera": _robust(color, (seen > 0.8) & (theta > 1.25 * alpha), 0.5, 0.97, _DEFAULT_SCLERA),
    }


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Least-squares centre (3,) and radius of points on a sphere."""
    A = np.concatenate([2 * points, np.ones((points.shape[0], 1))], 1)
    x = np.linalg.lstsq(A, (points**2).sum(1), rcond=None)[0]
    return x[:3], float(np.sqrt(x[3] + x[:3] @ x[:3]))


def _optical_axis(points: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Toward the cornea's bulge where the mesh has one, else straight ahead."""
    r = np.linalg.norm(points - centre, axis=1)
    front = points[:, 2] > centre[2]
    bulge = front & (r > 1.02 * radius)
    if bulge.sum() < 8:
        return np.array([0.0, 0.0, 1.0])
    axis = (points[bulge] - centre).mean(0)
    axis /= np.linalg.norm(axis)
    return axis if axis[2] > 0.96 else np.array([0.0, 0.0, 1.0])


def _robust(color: np.ndarray, mask: np.ndarray, low: float, high: float, default: np.ndarray) -> np.ndarray:
    """Mean colour between two brightness quantiles (drops lashes' shadow and catch-lights)."""
    if mask.sum() < 6:
        return default
    c = color[mask]
    y = c.mean(1)
    a, b = np.quantile(y, [low, high])
    return c[(y >= a) & (y <= b)].mean(0)


def _paint(cloud: Cloud, eye: dict, iris: np.ndarray, sclera: np.ndarray) -> None:
    t, d = eye["theta"], eye["direction"]
    side = np.cross(np.array([0.0, 1.0, 0.0]), eye["axis"])
    up = np.cross(eye["axis"], side)
    angle = np.arctan2(d @ up, d @ side)
    white = np.maximum(sclera, 0.55)
    white = 0.75 * white + 0.25 * white.mean()
    # The lid shades the upper ball; the corners turn warmer and darker.
    lid_shade = 1 - 0.22 * smoothstep(d @ up, 0.05, 0.6)
    far = smoothstep(t, 1.2, 3.5)[:, None]
    base = white * lid_shade[:, None] * (1 - far * np.array([0.12, 0.2, 0.2]))
    fibre = 1 + 0.14 * np.sin(angle * 23 + 3 * np.sin(angle * 5)) * smoothstep(t, 0.45, 0.7)
    ring = iris * fibre[:, None] * (1.15 - 0.35 * smoothstep(t, 0.75, 1.0))[:, None]
    ring = ring * (1 - 0.25 * smoothstep(d @ up, 0.0, 0.3))[:, None]
    pupil = 1 - smoothstep(t, 0.36, 0.46)
    ring = ring * (1 - pupil)[:, None] + pupil[:, None] * np.array([0.025, 0.02, 0.02])
    inside = (1 - smoothstep(t, 0.93, 1.08))[:, None]
    color = base * (1 - inside) + ring * inside
    spot_at = eye["axis"] + 0.5 * np.sin(0.22) * (up - 0.6 * side)
    spot = np.exp(-((np.linalg.norm(d - spot_at / np.linalg.norm(spot_at), axis=1) / 0.055) ** 2))[:, None]
    color = color * (1 - 0.75 * spot) + 0.75 * spot * np.array([0.95, 0.96, 0.97])
    trust = 0.8 * eye["seen"][:, None]
    cloud.color[eye["index"]] = color * (1 - trust) + eye["color"] * trust
    cloud.confidence[eye["index"]] = eye["seen"] * 0.6
