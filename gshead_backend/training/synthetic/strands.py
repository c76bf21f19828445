"""Hair as strands: curves grown from the scalp along a flow, kept outside of the head, drawn as thin surfels."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from .hairs import along, surfels
from .surfels import ANCHORS, Surfels


class Skull:
    """The head's outer surface as something that strands cannot enter. points, normals: (N, 3)."""

    def __init__(self, points: np.ndarray, normals: np.ndarray) -> None:
        self.points, self.normals = points, normals
        self.tree = KDTree(points)

    def push(self, at: np.ndarray, margin: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Points moved out to ``margin`` metres over the surface, and the surface normals nearby."""
        index = self.tree.query(at)[1]
        normal = self.normals[index]
        height = ((at - self.points[index]) * normal).sum(1)
        lift = np.maximum(margin - height, 0)
        near = height > -0.06  # far below the surface is the neck's hollow, not the head
        return at + normal * (lift * near)[:, None], normal


def grow(
    skull: Skull, roots: np.ndarray, normals: np.ndarray, flow: np.ndarray, *, length: np.ndarray, steps: int,
    lift: float, gravity: float, curl: float, margin: np.ndarray, rng: np.random.Generator,
    toward: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """(M, steps + 1, 3) strands.

    Args:
        roots, normals, flow: (M, 3); flow is the tangent direction the hair is combed in. length: (M,) metres.
        lift: 0..1 how far roots stand up. gravity: how much each step turns down. curl: 0..1 of waves and spirals.
        margin: (M,) metres that the strand stays over the skin, so that hair has depth.
        toward: (3,) where tight hair is pulled to along the skin.
    """
    count = len(roots)
    out = np.empty((count, steps + 1, 3))
    out[:, 0] = roots
    direction = flow * (1 - lift) + normals * lift
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    side = np.cross(direction, normals)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    phase = rng.uniform(0, 2 * np.pi, count)
    pace = (length / steps)[:, None]
    turn = rng.uniform(0.6, 1.2, count)
    at = roots
    for k in range(steps):
        share = (k + 1) / steps
        wave = np.cos(phase + turn * 2.1 * k)[:, None] * side + np.sin(phase + turn * 2.1 * k)[:, None] * normals
        heading = direction + 0.75 * curl * wave
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        at, normal = skull.push(at + heading * pace, np.minimum(margin, margin * 3 * share))
        out[:, k + 1] = at
        if toward is not None:
            pull = toward - at
            direction = pull - normal * (pull * normal).sum(1, keepdims=True) + 0.02 * side
            direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
            continue
        direction = (
            direction + np.array([0, -gravity, 0]) - normal * np.minimum((direction * normal).sum(1), 0)[:, None]
        )
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return out


def strand_surfels(
    strands: np.ndarray, color: np.ndarray, width: float, rng: np.random.Generator, *, center: np.ndarray,
    opacity: float = 0.82, torso_below: float | None = None,
) -> Surfels:  # fmt: skip
    """Surfels along strands (M, K, 3), shaded root to tip, strand by strand and lock by lock."""
    m, k = strands.shape[:2]
    start, end = strands[:, :-1].reshape(-1, 3), strands[:, 1:].reshape(-1, 3)
    outward = (start + end) / 2 - center
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    normal = outward + 0.35 * rng.normal(size=(m, 1, 3)).repeat(k - 1, 1).reshape(-1, 3)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    share = np.tile((np.arange(k - 1) + 0.5) / (k - 1), m)
    lock = rng.normal(size=24)[(np.abs(strands[:, 0] @ rng.normal(size=3) * 260).astype(int)) % 24]
    tone = np.exp(0.22 * rng.standard_normal(m) + 0.16 * lock).repeat(k - 1) * (0.72 + 0.45 * share)
    hue = np.exp(0.05 * rng.standard_normal((m, 3))).repeat(k - 1, 0)
    made = along(start, end, normal, width * np.where(share > 0.8, 0.75, 1.0))
    anchor = np.full(len(start), ANCHORS.index("cranium"))
    out = surfels(made, color * hue * tone[:, None], "hair", opacity=opacity, gloss=0.3)
    if torso_below is not None:
        anchor[made["means"][:, 1] < torso_below] = ANCHORS.index("torso")
    out.anchor[:] = anchor
    return out
