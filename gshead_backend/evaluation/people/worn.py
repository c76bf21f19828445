"""Clothes, glasses and hats of the test people as meshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...head.model import HeadModel
from ...portrait.labels import LABEL_INDEX
from .cast import SUIT, Role


@dataclass(frozen=True)
class Mesh:
    """material: name known to the scene script. vertices: (V, 3) metres. faces: (F, 3). labels: (F,) uint8.
    paint: (V, 4) masks for the skin, or None."""

    material: str
    vertices: np.ndarray
    faces: np.ndarray
    labels: np.ndarray
    paint: np.ndarray | None


def worn_meshes(role: Role, head: HeadModel, vertices: np.ndarray, names: np.ndarray, marks: np.ndarray) -> list[Mesh]:
    """What this person wears."""
    normals = _normals(vertices, head.faces)
    out = _shirt(role, head, vertices, normals, names, marks)
    if role.collar != "round":
        out.append(_collar(role, vertices, names, marks))
    if role.glasses:
        out += _glasses(role, marks)
    if role.hat:
        out.append(_hat(role, head, vertices, normals, names, marks))
    return out


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corner = vertices[faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(out, faces[:, k], cross)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def _labelled(material: str, vertices: np.ndarray, faces: np.ndarray, label: str) -> Mesh:
    return Mesh(material, vertices, faces, np.full(len(faces), LABEL_INDEX[label], np.uint8), None)


def _shirt(
    role: Role, head: HeadModel, vertices: np.ndarray, normals: np.ndarray, names: np.ndarray, marks: np.ndarray
) -> list[Mesh]:
    """The bust's own skin pushed out, and a body below its border, down out of the picture; a suit shows its shirt."""
    base = marks[152, 1] - {"round": 0.105, "shirt": 0.088, "high": 0.06}[role.collar]
    x, y, z = vertices.T
    line = base + 0.22 * np.abs(x) + 0.03 * np.clip((marks[152, 2] - 0.06 - z) / 0.04, 0, 1)
    line = np.where(np.abs(x) > 0.1, np.maximum(line, y + 1e-3), line)
    line = np.minimum(line, marks[152, 1] - 0.02)
    below = np.where(np.isin(names, ("torso", "neck", "skin")), line - y, -1.0)
    faces = head.faces[(below[head.faces] > 0).any(1) & (below[head.faces] > -0.03).all(1)]
    moved = _trimmed(vertices, faces, below)
    moved = moved + normals * (0.006 + 0.005 * np.clip(below / 0.02, 0, 1))[:, None]
    border = _border(faces)
    neck = (np.abs(below[border]) < 0.012).any(1) & (np.abs(moved[border, 0]).max(1) < 0.1)
    rim = border[~neck]
    loop = np.unique(rim)
    centre = moved[loop].mean(0) * [0, 0, 1]
    flat = np.array([1, 0, 1])
    rings = [
        centre + (moved[loop] - centre) * grown - np.array([0, drop, 0])
        for grown, drop in (([1.04, 1, 1.06], 0.02), ([1.12, 1, 1.2], 0.07))
    ]
    low = rings[1] * flat * [1.12, 1, 1.1] + [0, moved[loop, 1].min() - 0.6, 0]
    rings.append(low)
    index, skirt = np.arange(len(moved)), []
    for k in range(3):
        lower = np.full(len(moved), -1)
        lower[loop] = len(moved) + k * len(loop) + np.arange(len(loop))
        a, b = rim.T
        skirt += [np.stack([index[b], index[a], lower[a]], 1), np.stack([index[b], lower[a], lower[b]], 1)]
        index = lower
    points, whole = np.concatenate([moved, *rings]), np.concatenate([faces, *skirt])
    if role.name != SUIT:
        return [_labelled("cloth", points, whole, "clothes")]
    middle = points[whole].mean(1)
    open_to = 0.05 * np.clip((middle[:, 1] - (base - 0.16)) / 0.16, 0, 1)
    white = (np.abs(middle[:, 0]) < open_to) & (middle[:, 2] > marks[152, 2] - 0.05)
    return [_labelled("cloth", points, whole[~white], "clothes"), _labelled("collar", points, whole[white], "clothes")]


def _trimmed(vertices: np.ndarray, faces: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Vertices beyond the neckline pulled back onto it along their edges, so that the cut is a line and not a saw."""
    out = vertices.copy()
    total, count = np.zeros_like(vertices), np.zeros(len(vertices))
    for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
        v, u = faces[:, a], faces[:, b]
        cut = (below[v] <= 0) & (below[u] > 0)
        v, u = v[cut], u[cut]
        t = below[v] / (below[v] - below[u])
        np.add.at(total, v, vertices[v] + t[:, None] * (vertices[u] - vertices[v]))
        np.add.at(count, v, 1)
    moved = count > 0
    out[moved] = total[moved] / count[moved, None]
    return out


def _border(faces: np.ndarray) -> np.ndarray:
    """(E, 2) directed edges that belong to one face only."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, first, count = np.unique(np.sort(edges, 1), axis=0, return_index=True, return_counts=True)
    return edges[first[count == 1]]


def _tube(path: np.ndarray, radius: float, closed: bool, sides: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A round bar along points (K, 3)."""
    k = len(path)
    tangent = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    u = np.cross(tangent, [0.0, 0.3, 1.0])
    u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-9)
    v = np.cross(tangent, u)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = path[:, None] + radius * (np.cos(angle)[:, None] * u[:, None] + np.sin(angle)[:, None] * v[:, None])
    faces = []
    for i in range(k if closed else k - 1):
        j = (i + 1) % k
        for s in range(sides):
            t = (s + 1) % sides
            faces += [[i * sides + s, j * sides + s, j * sides + t], [i * sides + s, j * sides + t, i * sides + t]]
    return ring.reshape(-1, 3), np.array(faces)


def _glasses(role: Role, marks: np.ndarray) -> list[Mesh]:
    bar = {"thin": 0.0008, "bold": 0.0021, "dark": 0.0017}[role.glasses]
    w, h, power = {"thin": (0.0235, 0.0205, 2.2), "bold": (0.0265, 0.0205, 3.6), "dark": (0.028, 0.0235, 2.8)}[
        role.glasses
    ]
    z = marks[[105, 334, 168, 50, 280], 2].max() + 0.003
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    shape = np.stack([np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power) * w,
                      np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power) * h], 1)  # fmt: skip
    out = []
    for corners, sign, ear in (((33, 133), -1, 234), ((263, 362), 1, 454)):
        centre = marks[list(corners)].mean(0)
        rim = np.stack([centre[0] + shape[:, 0], centre[1] - 0.002 + shape[:, 1], np.full(72, z)], 1)
        rim[:, 2] -= 25 * np.maximum(np.abs(rim[:, 0]) - 0.03, 0) ** 2
        out.append(_labelled("frame", *_tube(rim, bar, True), "glasses"))
        fan = np.concatenate([rim, rim.mean(0, keepdims=True)])
        faces = np.stack([np.arange(72), np.roll(np.arange(72), -1), np.full(72, 72)], 1)
        out.append(_labelled("dark_lens" if role.glasses == "dark" else "lens", fan, faces, "glasses"))
        outer = rim[np.argmax(sign * rim[:, 0])] + [0, 0.004, 0]
        hook = np.array([marks[ear, 0] * 1.06, marks[127, 1] + 0.010, marks[ear, 2] - 0.02])
        out.append(
            _labelled("frame", *_tube(outer + np.linspace(0, 1, 10)[:, None] * (hook - outer), bar, False), "glasses")
        )
        inner = rim[np.argmin(sign * rim[:, 0])]
        bridge = np.array([0, inner[1] + 0.004, z + 0.002])
        out.append(
            _labelled("frame", *_tube(inner + np.linspace(0, 1, 6)[:, None] * (bridge - inner), bar, False), "glasses")
        )
    return out


def _hat(
    role: Role, head: HeadModel, vertices: np.ndarray, normals: np.ndarray, names: np.ndarray, marks: np.ndarray
) -> Mesh:
    x, y, z = vertices.T
    outer = np.isin(names, ("skin", "scalp", "neck", "ear", "torso"))
    if role.hat == "beanie":
        keep = outer & (y > marks[10, 1] - 0.006 + 0.25 * np.minimum(z - marks[10, 2] + 0.04, 0)) & (names != "ear")
        lift = 0.012 + 0.014 * np.clip((y - marks[10, 1]) / 0.06, 0, 1) + 0.0006 * np.sin(x * 900)
    else:
        middle = (marks[10, 1] + marks[152, 1]) / 2
        oval = (x / 0.064) ** 2 + ((y - middle) / (0.60 * (marks[10, 1] - marks[152, 1]))) ** 2 < 1
        keep = outer & ~(oval & (z > marks[127, 2])) & (y > marks[152, 1] - 0.12)
        lift = 0.012 + 0.003 * np.sin(130 * (y + 0.4 * x)) + 0.014 * (y < marks[152, 1])
    faces = head.faces[keep[head.faces].all(1)]
    return _labelled("hat", vertices + normals * lift[:, None], faces, "hat")


def _collar(role: Role, vertices: np.ndarray, names: np.ndarray, marks: np.ndarray) -> Mesh:
    """A band around the neck, open in front for a shirt."""
    level = marks[152, 1] - (0.055 if role.collar == "high" else 0.075)
    ring = vertices[np.isin(names, ("neck", "skin", "torso")) & (np.abs(vertices[:, 1] - level) < 0.01)]
    ring = ring[np.abs(ring[:, 0]) < 0.075]  # the neck, not the shoulders
    centre = np.array([0, level, (ring[:, 2].min() + ring[:, 2].max()) / 2])
    a, b = np.percentile(np.abs(ring[:, 0]), 95) + 0.006, np.ptp(ring[:, 2]) / 2 + 0.006
    gap = 0.0 if role.collar == "high" else 0.28
    angle = np.linspace(gap, 2 * np.pi - gap, 90)
    rows = 9
    height = 0.05 if role.collar == "high" else 0.034
    grid = []
    for k in range(rows):
        t = k / (rows - 1)
        up = -0.02 + height * t + 0.014 * (1 - np.cos(angle)) / 2
        out = 0.004 + 0.012 * (1 - t) + (0.006 * t if role.collar == "shirt" else 0)
        grid.append(np.stack([np.sin(angle) * (a + out), up, np.cos(angle) * (b + out)], 1) + centre)
    points = np.concatenate(grid)
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(89), indexing="ij")
    p = (i * 90 + j).ravel()
    faces = np.concatenate([np.stack([p, p + 1, p + 91], 1), np.stack([p, p + 91, p + 90], 1)])
    return _labelled("collar", points, faces, "clothes")
