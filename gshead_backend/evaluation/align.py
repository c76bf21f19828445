"""From the head space of a reconstruction to the world of a multi-view folder.

A portrait does not tell how large a head is, nor exactly how far away. So six numbers (a rigid motion) come from the
source view, through its true camera: they put the head's landmarks on the picture's. What is left is one scalar, the
scale about the source camera's eye point, which the source view cannot see. It comes from the other views of the
source's frame: from landmarks there, else from silhouettes. It is reported, and nothing else is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.optimize import minimize_scalar

from ..camera import Camera
from ..errors import EvaluationError
from ..head.model import HeadModel

LANDMARKS = 468
_GRID = np.exp(np.linspace(math.log(1 / 32), math.log(32), 221))
_ROBUST = 0.01  # of the picture's width: residuals beyond count linearly
_FACING = 0.15  # cosine; landmarks that face the camera less are guesses of a detector


@dataclass(frozen=True)
class Alignment:
    """world = scale * (R @ x + t), brought from the source camera's space to the world's.

    Attributes:
        to_world: (4, 4) affine map of head space to the world, the scale included.
        scale: how much larger the world's head is than the reconstructed one, times its unit.
        method: "landmarks", "silhouettes" or "none": how the scale was found. views: that helped.
        residual_px: mean landmark distance in the source view after the rigid motion, pixels of that view.
    """

    to_world: np.ndarray
    scale: float
    method: str
    views: tuple[int, ...]
    residual_px: float

    def camera(self, world: Camera) -> Camera:
        """The camera that sees head space as ``world`` sees the world."""
        far = max(world.far, 1e3 * self.scale)
        return replace(world, viewmat=world.viewmat @ self.to_world, near=min(world.near, 1e-3 * self.scale), far=far)

    def points(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) head space to the world."""
        return points @ self.to_world[:3, :3].T + self.to_world[:3, 3]


def head_marks(head: HeadModel, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 468 landmarks of a posed mesh (V, 3): points (468, 3) and unit normals (468, 3)."""
    corners = vertices[head.faces[head.landmark_triangles]].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return (corners * head.landmark_bary[:, :, None]).sum(1), normal


def rigid_pose(points: np.ndarray, pixels: np.ndarray, camera: Camera, start: np.ndarray) -> np.ndarray:
    """(4, 4) head to camera that puts ``points`` (n, 3) on ``pixels`` (n, 2).

    Args:
        camera: only its ``K`` counts. start: (4, 4) a first guess.
    Raises ``EvaluationError`` when no pose in front of the camera is found.
    """
    r, _ = cv2.Rodrigues(start[:3, :3])
    ok, r, t = cv2.solvePnP(
        points.astype(np.float64), pixels.astype(np.float64), camera.K, None, r, start[:3, 3].copy(), True,
        cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = cv2.Rodrigues(r)[0], t.ravel()
    if not ok or not np.isfinite(out).all() or out[2, 3] <= 0:
        raise EvaluationError("The reconstruction cannot be put into the source view: no pose explains its landmarks.")
    return out


@dataclass(frozen=True)
class SeenMarks:
    """(468, 2) landmarks that another view shows. camera: that view's, seeing the world."""

    index: int
    camera: Camera
    pixels: np.ndarray


def align(
    points: np.ndarray, normals: np.ndarray, source: Camera, pixels: np.ndarray, start: np.ndarray,
    others: Sequence[SeenMarks], overlap: Callable[[np.ndarray], float] | None = None,
) -> Alignment:  # fmt: skip
    """Align a reconstruction.

    Args:
        points, normals: (468, 3) its landmarks in head space, as it stands in the source view.
        source: camera of the source view. pixels: (468, 2) landmarks there. start: (4, 4) guess of head to camera.
        others: landmarks of other views of the same frame; empty when there are none.
        overlap: silhouette agreement 0..1 of a ``to_world``; used when ``others`` is empty.
    """
    rigid = rigid_pose(points, pixels, source, start)
    back = np.linalg.inv(source.viewmat)

    def world(scale: float) -> np.ndarray:
        return back @ np.diag([scale, scale, scale, 1.0]) @ rigid

    seen = replace(source, viewmat=source.viewmat @ world(1.0)).project(points)[:, :2]
    residual = float(np.linalg.norm(seen - pixels, axis=1).mean())
    if others:
        cost = _landmark_cost(points, normals, others, world)
        scale, method = _smallest(cost, _GRID), "landmarks"
    elif overlap is not None:
        near = np.exp(np.linspace(math.log(0.4), math.log(2.5), 25))
        scale, method = _smallest(lambda s: 1 - overlap(world(s)), near), "silhouettes"
    else:
        scale, method = 1.0, "none"
    return Alignment(world(scale), scale, method, tuple(o.index for o in others), residual)


def _smallest(cost: Callable[[float], float], grid: np.ndarray) -> float:
    values = [cost(float(s)) for s in grid]
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = minimize_scalar(
        lambda x: cost(math.exp(x)), bounds=(math.log(low), math.log(high)), method="bounded", options={"xatol": 1e-4}
    )
    return math.exp(float(found.x)) if found.fun <= values[best] else float(grid[best])


def _landmark_cost(
    points: np.ndarray, normals: np.ndarray, others: Sequence[SeenMarks], world: Callable[[float], np.ndarray]
) -> Callable[[float], float]:
    def cost(scale: float) -> float:
        to_world = world(scale)
        total = count = 0.0
        for other in others:
            camera = replace(other.camera, viewmat=other.camera.viewmat @ to_world, near=1e-6, far=1e9)
            uvz = camera.project(points)
            if uvz[:, 2].min() <= 0:
                return math.inf
            eye = -np.linalg.inv(camera.viewmat[:3, :3]) @ camera.viewmat[:3, 3]
            toward = eye - points
            facing = (normals * toward).sum(1) / np.linalg.norm(toward, axis=1)
            weight = np.clip(facing - _FACING, 0, None)
            away = np.linalg.norm(uvz[:, :2] - other.pixels, axis=1) / camera.width
            total += float((weight * (np.sqrt(1 + (away / _ROBUST) ** 2) - 1)).sum())
            count += float(weight.sum())
        return total / count if count > 0 else math.inf

    return cost
