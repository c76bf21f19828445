"""The outline of cheeks, jaw and chin: where the fitted mesh has it, and where the photo has it.

Each point of the mesh's occluding contour looks along its normal for an edge of the matte or of the image. The
offsets of all points are chosen together by dynamic programming, so that one stray edge does not dent the jaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..camera import Camera
from ..head.model import HeadModel
from .crop import face_height

JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
NEAR_JAW = 0.055  # of the face height
OUTWARD = 0.5  # cosine between the contour's normal and the way out from the nose
REACH = 0.035  # of the face height
STEPS = 29
_NOT_FACE = ("eye", "teeth", "gum", "tongue", "mouth", "torso")
BEND = 6.0
SECTORS = 240  # directions around the nose
SAME_DEPTH = 0.018  # metres


@dataclass(frozen=True)
class Outline:
    """Points on mesh edges and how far they lie from the photo's outline.

    Attributes:
        edges: (k, 2) vertex indices. mix: (k,) position between them. shift: (k, 2) pixels toward the photo's outline.
        weight: (k,) 0..1.
    """

    edges: np.ndarray
    mix: np.ndarray
    shift: np.ndarray
    weight: np.ndarray


def find_outline(
    head: HeadModel, vertices: np.ndarray, camera: Camera, image: np.ndarray, matte: np.ndarray, landmarks: np.ndarray
) -> Outline | None:
    """The jaw's outline in an (S, S, 3) uint8 crop; None when the mesh shows none there."""
    unit = face_height(landmarks)
    edges, mix, normals = _contour(head, vertices, camera)
    points = vertices[edges[:, 0]] * (1 - mix[:, None]) + vertices[edges[:, 1]] * mix[:, None]
    pixels, depth = np.split(camera.project(points), [2], axis=1)
    across = normals @ camera.viewmat[:2, :3].T
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    keep = _near_jaw(pixels, across, landmarks, unit)
    edges, mix, pixels, across, depth = edges[keep], mix[keep], pixels[keep], across[keep], depth[keep, 0]
    order = _outermost(pixels, depth, landmarks)
    if len(order) < 12:
        return None
    edges, mix, pixels, across = edges[order], mix[order], pixels[order], across[order]
    offsets = np.linspace(-REACH, REACH, STEPS) * unit
    evidence = _evidence(image, matte, pixels, across, offsets, unit)
    chosen = _smoothest(evidence, offsets / (REACH * unit))
    strength = evidence[np.arange(len(chosen)), chosen]
    weight = np.clip((strength - 0.15) / 0.35, 0, 1)
    weight *= np.clip(1 - np.abs(offsets[chosen] - _median(offsets[chosen])) / (0.01 * unit), 0, 1)
    at_rim = (chosen == 0) | (chosen == STEPS - 1)
    return Outline(edges, mix, across * offsets[chosen][:, None], np.where(at_rim, 0, weight))


def _contour(head: HeadModel, vertices: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mesh edges whose ends face opposite ways: (k, 2) indices, (k,) zero crossing, (k, 3) normals there."""
    inner = [n for n in head.region_names if n.startswith(_NOT_FACE)]
    f = head.faces[~head.region_mask(*inner)[head.faces].any(1)]
    normal = np.zeros(vertices.shape)
    a, b, c = (vertices[f[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    for axis in range(3):
        normal[:, axis] = sum(np.bincount(f[:, k], flat[:, axis], len(vertices)) for k in range(3))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    facing = (normal * (camera.position - vertices)).sum(1)
    sign = facing[f] > 0
    f = f[sign.any(1) & ~sign.all(1)]
    pairs = np.unique(np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), axis=1), axis=0)
    first, second = facing[pairs[:, 0]], facing[pairs[:, 1]]
    crossing = (first > 0) != (second > 0)
    pairs, first, second = pairs[crossing], first[crossing], second[crossing]
    mix = first / (first - second)
    return pairs, mix, normal[pairs[:, 0]] * (1 - mix[:, None]) + normal[pairs[:, 1]] * mix[:, None]


def _near_jaw(pixels: np.ndarray, across: np.ndarray, landmarks: np.ndarray, unit: float) -> np.ndarray:
    """Bool: contour points that belong to cheeks, jaw or chin as the landmarks see them, not to ears or neck."""
    jaw = landmarks[list(JAW)]
    t = np.linspace(0, len(jaw) - 1, 12 * len(jaw))
    curve = np.stack([np.interp(t, np.arange(len(jaw)), jaw[:, k]) for k in (0, 1)], 1)
    distance = np.linalg.norm(pixels[:, None] - curve[None], axis=2).min(1)
    out = pixels - landmarks[4]
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    return (distance < NEAR_JAW * unit) & ((out * across).sum(1) > OUTWARD)


def _outermost(pixels: np.ndarray, depth: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Indices of what is really the outline, in order from one ear under the chin to the other.

    Seen from the nose, the jaw is the nearest contour to the camera in each direction (the neck lies behind it), and
    of the folds at the same depth the outermost hides the others.
    """
    d = pixels - landmarks[4]
    up = landmarks[10] - landmarks[152]
    up = up / np.linalg.norm(up)
    angle = np.arctan2(d @ np.array([-up[1], up[0]]), -(d @ up))
    sector = np.floor((angle + np.pi) / (2 * np.pi) * SECTORS).astype(int)
    chosen = []
    for s in np.unique(sector):
        inside = np.flatnonzero(sector == s)
        front = inside[depth[inside] < depth[inside].min() + SAME_DEPTH]
        chosen.append(front[np.linalg.norm(d[front], axis=1).argmax()])
    return np.array(chosen, int)


def _evidence(
    image: np.ndarray, matte: np.ndarray, pixels: np.ndarray, across: np.ndarray, offsets: np.ndarray, unit: float
) -> np.ndarray:
    """(k, STEPS) 0..1: how much an edge lies at each offset along each normal."""
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), max(0.8, 0.004 * unit)), cv2.COLOR_RGB2LAB).astype(np.float32)
    step = offsets[1] - offsets[0]
    wide = np.concatenate(
        [[offsets[0] - 2 * step, offsets[0] - step], offsets, [offsets[-1] + step, offsets[-1] + 2 * step]]
    )
    places = (pixels[:, None] + across[:, None] * wide[None, :, None] - 0.5).astype(np.float32)
    colors = cv2.remap(lab, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mattes = cv2.remap(matte, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = colors[:, 4:] - colors[:, :-4]
    darker = np.clip(0.5 - change[..., 0] / 20, 0.35, 1)  # below the jaw it gets darker; where a shadow ends, brighter
    edge = np.linalg.norm(change, axis=-1) / 40 * darker
    drop = np.clip(mattes[:, :-4] - mattes[:, 4:], 0, 1)
    return np.maximum(np.clip(edge, 0, 0.8), drop)


def _median(values: np.ndarray, reach: int = 4) -> np.ndarray:
    """Running median over ``2 * reach + 1`` neighbours."""
    padded = np.pad(values, reach, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)


def _smoothest(evidence: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """(k,) the offset index of each point that maximises evidence, nearness to the mesh and smoothness (Viterbi)."""
    gain = evidence - 0.35 * relative**2
    jump = BEND * (relative[:, None] - relative[None]) ** 2
    best, back = gain[0], np.zeros(evidence.shape, int)
    for i in range(1, len(gain)):
        score = best[:, None] - jump
        back[i] = score.argmax(0)
        best = score.max(0) + gain[i]
    chosen = np.empty(len(gain), int)
    chosen[-1] = best.argmax()
    for i in range(len(gain) - 1, 0, -1):
        chosen[i - 1] = back[i, chosen[i]]
    return chosen
