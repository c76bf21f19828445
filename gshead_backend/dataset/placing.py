"""A head among known cameras, at one instant: from the front view first, then from all that see the face."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.optimize import least_squares

from ..evaluation.align import Alignment, SeenMarks

ROBUST = 0.01
"""Of a picture's width: distances beyond count linearly."""
FACING = 0.15


@dataclass(frozen=True)
class Placing:
    """Where the head stands.

    Attributes:
        to_world: (4, 4) affine map of head space to the capture's world, the scale included. scale: of it.
        row: of the view that gave the expression. points, normals: (468, 3) landmarks in head space as they are then.
        seen: the landmarks that were used.
    """

    to_world: np.ndarray
    scale: float
    row: int
    points: np.ndarray
    normals: np.ndarray
    seen: list[SeenMarks]

    def at_scale(self, scale: float) -> Placing:
        """The same head with another size, put anew where the landmarks are."""
        grown = self.to_world.copy()
        middle = self.points.mean(0)
        grown[:3, :3] *= scale / self.scale
        grown[:3, 3] = (self.to_world[:3, :3] - grown[:3, :3]) @ middle + self.to_world[:3, 3]
        return replace(self, to_world=_refined(self, grown, free=False), scale=scale)


def placed(
    points: np.ndarray, normals: np.ndarray, row: int, seen: list[SeenMarks], start: Alignment
) -> Placing:  # fmt: skip
    """Refine an alignment, which rests on the front view alone, by all views; the scale too where there are two."""
    place = Placing(start.to_world, start.scale, row, points, normals, seen)
    if len(seen) < 2:
        return place
    to_world = _refined(place, start.to_world, free=True)
    return replace(place, to_world=to_world, scale=float(np.cbrt(np.linalg.det(to_world[:3, :3]))))


def _refined(place: Placing, start: np.ndarray, *, free: bool) -> np.ndarray:
    """(4, 4) the affine map near ``start`` that puts the landmarks best; ``free``: its scale may change."""
    middle, size = place.points.mean(0), float(np.cbrt(np.linalg.det(start[:3, :3])))
    at, turn = start[:3, :3] @ middle + start[:3, 3], start[:3, :3] / size
    cameras = [replace(s.camera, near=1e-9, far=1e12) for s in place.seen]

    def world(x: np.ndarray) -> np.ndarray:
        out = np.eye(4)
        grown = size * (math.exp(x[6]) if free else 1.0)
        out[:3, :3] = grown * cv2.Rodrigues(x[:3])[0] @ turn
        out[:3, 3] = at + 0.1 * size * x[3:6] - out[:3, :3] @ middle
        return out

    weights = [_weights(place, start, camera.position) for camera in cameras]

    def residuals(x: np.ndarray) -> np.ndarray:
        to_world = world(x)
        points = place.points @ to_world[:3, :3].T + to_world[:3, 3]
        parts = []
        for seen, camera, weight in zip(place.seen, cameras, weights, strict=True):
            away = (camera.project(points)[:, :2] - seen.pixels) / (ROBUST * camera.width)
            parts.append(weight[:, None] * away)
        return np.concatenate(parts).ravel()

    found = least_squares(residuals, np.zeros(7 if free else 6), loss="soft_l1", max_nfev=40)
    return world(found.x)


def _weights(place: Placing, to_world: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """(468,) 0..1: how much a landmark faces a camera at ``eye`` in the world."""
    at = np.linalg.inv(to_world) @ np.append(eye, 1)
    toward = at[:3] - place.points
    facing = (place.normals * toward).sum(1) / np.linalg.norm(toward, axis=1)
    return np.sqrt(np.clip(facing - FACING, 0, None))
