"""Glasses stand before the face: a curved sheet of what the parser calls glasses, and arms back to the ears.

Painted on the skin they would be in the right place from the front only. What shows through clear lenses stays on the
face; what frames and dark lenses hide is completed like all that the photo does not show.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...portrait.labels import LABEL_INDEX
from ...portrait.types import PortraitFit
from .bust import rebind, steady_triangles
from .cloud import Cloud
from .layer import gradient, metres_per_pixel, sheet
from .photo import View, disc, sample, unit_scale
from .surface import EYE_LEFT, EYE_RIGHT, NOSE_TIP, PARTS, TRAGUS, HeadSurface, nearest

_SURE = (0.3, 0.6)  # of the parser's probability: from nothing to opaque
_LEAST, _SIDE = 0.015, 0.15  # squares of the eye distance that glasses cover, and the share on either side of the nose
_WIDE, _ABOVE = 0.85, 0.35  # eye distances to the sides of the nose, and above the eyes, where they may be
_BEFORE_EYES = (0.006, 0.022)  # metres from the corneas to the sheet
_CLEAR = 0.001  # metres between face and sheet
_WRAP = 1.9  # 1 / metres: the sheet recedes by 8 mm at 65 mm beside the nose
_PULLED = 0.014  # metres that the sheet is bent forward at most: a nose beside a frame is not behind it
_HALF, _ARM_CLEAR = 0.066, 0.003  # metres beside the middle where the sheet ends, and from there on off the skin
_BRIDGE = 0.012  # metres beside the middle where the nose holds it
GLASSES_RIM = 2.5  # pixels at 512 around glasses that belong to their edge
_THICK = (0.0012, 0.0045)  # metres of an arm from top to bottom
_ARM_STEP, _ARM_SIDE = 0.0008, 0.0004  # metres between an arm's splats, and half as wide as it is
_FROM_EYES = 0.05  # metres beside the middle where arms may begin


@dataclass(frozen=True)
class Glasses:
    """alpha: (H, W) float32 0..1 of frames and dark lenses. depth: (H, W) metres from the camera. behind: (H, W) 0..1,
    what they hide, their edges included."""

    alpha: np.ndarray
    depth: np.ndarray
    behind: np.ndarray


def find_glasses(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray) -> Glasses | None:
    """Where the photo shows glasses, and how far before the face; None without any. ``posed`` (V, 3): the bare head."""
    if fit.parsing is None:
        return None
    alpha = np.clip((fit.parsing[LABEL_INDEX["glasses"]].astype(np.float32) - _SURE[0]) / (_SURE[1] - _SURE[0]), 0, 1)
    alpha *= _may_be(fit)
    marks = fit.landmarks
    unit = float(np.linalg.norm(marks[33] - marks[263]))
    right, left = marks[list(EYE_RIGHT)].mean(0), marks[list(EYE_LEFT)].mean(0)
    y, x = np.nonzero(alpha > 0.5)
    along = (np.column_stack([x, y]) + 0.5 - (left + right) / 2) @ (left - right) > 0
    if y.size < _LEAST * unit**2 or not _SIDE < along.mean() < 1 - _SIDE:
        return None
    behind = cv2.dilate(alpha, disc(GLASSES_RIM * unit_scale(fit.image)))
    return Glasses(alpha, _depth(fit, surface, posed, alpha), behind)


def _may_be(fit: PortraitFit) -> np.ndarray:
    """(H, W) bool: around the eyes, down to the nose's tip."""
    marks = fit.landmarks
    eyes, across = marks[[*EYE_RIGHT, *EYE_LEFT]].mean(0), marks[263] - marks[33]
    unit = float(np.linalg.norm(across))
    across = across / max(unit, 1e-6)
    down = np.array([-across[1], across[0]])
    y, x = np.mgrid[: fit.matte.shape[0], : fit.matte.shape[1]]
    place = np.stack([x + 0.5 - eyes[0], y + 0.5 - eyes[1]], -1)
    low = float((marks[NOSE_TIP] - eyes) @ down)
    return (np.abs(place @ across) < _WIDE * unit) & (place @ down > -_ABOVE * unit) & (place @ down < low)


def _depth(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W) metres from the camera to a sheet that clears face and eyes and touches the bridge of the nose."""
    scale, camera = surface.scale, fit.camera
    h, w = alpha.shape
    y, x = np.mgrid[:h, :w]
    start, ray = _rays(fit, np.stack([x + 0.5, y + 0.5], -1).reshape(-1, 2))
    face = View.of(posed, surface.faces, camera).depth
    there = (alpha > 0.5) & np.isfinite(face)
    of_face = start.reshape(h, w, 3)[there] + ray.reshape(h, w, 3)[there] * face[there][:, None]
    wrap = _WRAP / scale
    eyes = posed[np.isin(surface.vertex_part, [PARTS.index("eye_left"), PARTS.index("eye_right")])]
    cornea = float(eyes[:, 2].max()) if len(eyes) else float(posed[surface.skin, 2].max()) - 0.03 * scale
    beside = of_face[np.abs(of_face[:, 0]) > _BRIDGE * scale]
    reach = np.quantile(beside[:, 2] + wrap * beside[:, 0] ** 2, 0.8) if len(beside) else cornea
    front = np.clip(reach + _CLEAR * scale, cornea + _BEFORE_EYES[0] * scale, cornea + _BEFORE_EYES[1] * scale)
    depth = np.full(h * w, float(camera.project(np.array([[0.0, posed[:, 1].mean(), front]]))[0, 2]))
    for _ in range(3):
        across = start[:, 0] + ray[:, 0] * depth
        depth = (front - wrap * across**2 - start[:, 2]) / ray[:, 2]
    depth, across = depth.reshape(h, w), across.reshape(h, w)
    near = cv2.erode(np.where(np.isfinite(face), face, 1e3).astype(np.float32), disc(2 * unit_scale(fit.image)))
    clear = np.maximum(np.minimum(depth, near - _CLEAR * scale), depth - _PULLED * scale)
    arm = (np.abs(across) > _HALF * scale) & np.isfinite(face)  # a turned head shows one along its temple
    return np.where(arm, face - _ARM_CLEAR * scale, clear)


def _rays(fit: PortraitFit, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) and (N, 3): the point at depth z under each pixel is the first plus z times the second, in head space."""
    camera = fit.camera
    R, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    flat = (pixels - camera.K[:2, 2]) / camera.K[[0, 1], [0, 1]]
    still, moving = np.zeros((len(flat), 3)), np.zeros((len(flat), 3))
    (still if camera.orthographic else moving)[:, :2] = flat
    moving[:, 2] = 1
    return (still - t) @ R, moving @ R


def glasses_splats(
    fit: PortraitFit, surface: HeadSurface, photo: np.ndarray, glasses: Glasses, posed: np.ndarray, count: int
) -> Cloud:
    """At most about ``count`` splats of the sheet and some for the arms, bound to the cranium."""
    area = float((glasses.alpha > 0.1).sum())
    stride = max(np.sqrt(area / 0.87 / max(count, 1)), 0.7)
    h, w = glasses.alpha.shape
    v, u = np.meshgrid(np.arange(0.5 * stride, h, 0.87 * stride), np.arange(0.5 * stride, w, stride), indexing="ij")
    u = u + (np.arange(len(u)) % 2)[:, None] * 0.5 * stride
    uv = np.stack([u.ravel(), v.ravel()], 1)
    alpha = sample(glasses.alpha, uv).astype(np.float64)
    uv, alpha = uv[alpha > 0.1], alpha[alpha > 0.1]
    depth = sample(glasses.depth.astype(np.float32), uv).astype(np.float64)
    metres = metres_per_pixel(fit, float(np.median(depth)))
    slope = gradient(glasses.depth / metres, uv, unit_scale(fit.image))
    color = sample(photo, uv).astype(np.float64)
    cloud = sheet(fit, "clothes", uv, depth, slope, color, 1.0, stride * metres)
    opacity = 0.95 * alpha
    cloud.opacity_logit = np.log(opacity / (1 - opacity))
    for side in (-1.0, 1.0):
        arm = _arm(fit, surface, photo, glasses, posed, side)
        cloud = cloud if arm is None else cloud.join(arm)
    # What a temple moves by, though little, would be more at the end of a lever.
    steady = steady_triangles(surface, bust=False)
    still = steady & (surface.reach <= np.quantile(surface.reach[steady], 0.3)) if steady.any() else steady
    rebind(cloud, surface, posed, np.arange(len(cloud)), still)
    return cloud


def _arm(
    fit: PortraitFit, surface: HeadSurface, photo: np.ndarray, glasses: Glasses, posed: np.ndarray, side: float
) -> Cloud | None:
    """From the frame's outer end to where the ear holds it, in the frame's colour and as thick."""
    y, x = np.nonzero(glasses.alpha > 0.6)
    start, ray = _rays(fit, np.column_stack([x, y]) + 0.5)
    at = start + ray * glasses.depth[y, x][:, None]
    upper = at[:, 1] >= np.quantile(at[:, 1], 0.35)
    outer = upper & (side * at[:, 0] > max(np.quantile(side * at[:, 0], 0.98), _FROM_EYES * surface.scale))
    ear = _ear_top(surface, posed, side)
    if outer.sum() < 4:
        return None
    hinge = at[outer].mean(0)
    inside = cv2.distanceTransform((glasses.alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    thick = 2 * np.quantile(inside[inside > 0], 0.6) * metres_per_pixel(fit, float(np.median(glasses.depth[y, x])))
    thick = float(np.clip(thick, *np.array(_THICK) * surface.scale))
    n = max(int(np.linalg.norm(ear - hinge) / (_ARM_STEP * surface.scale)), 2)
    point = hinge + np.linspace(0, 1, n)[:, None] * (ear - hinge)
    skin = posed[surface.skin & ~surface.ear & (side * posed[:, 0] > 0.03 * surface.scale)]
    if len(skin):
        beside = skin[nearest(skin[:, 1:], point[:, 1:], 6)[1], 0] * side
        point[:, 0] = side * np.maximum(side * point[:, 0], beside.max(1) + _CLEAR * surface.scale)
    tangent = np.gradient(point, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.cross(tangent, [0.0, side, 0.0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    normal *= np.sign(side * normal[:, :1] + 1e-12)
    color = np.broadcast_to(np.median(photo[y[outer], x[outer]], axis=0), (n, 3)).astype(np.float64)
    sigma = np.tile([_ARM_STEP * surface.scale, 0.4 * thick, _ARM_SIDE * surface.scale], (n, 1))
    return Cloud.loose("clothes", point, normal, tangent, sigma, color, trust=0.0)


def _ear_top(surface: HeadSurface, posed: np.ndarray, side: float) -> np.ndarray:
    """(3,) where an arm lies on the ear; beside the tragus where the head names no ears."""
    ear = posed[surface.ear & (side * posed[:, 0] > 0)]
    if len(ear) < 10:
        corner = surface.head.landmark_triangles[TRAGUS[0] if side < 0 else TRAGUS[1]]
        return posed[surface.faces[corner]].mean(0)
    top = ear[ear[:, 1] > np.quantile(ear[:, 1], 0.85)]
    return top.mean(0)
