"""Catmull-Clark subdivision as one sparse matrix, and clipping a triangle mesh by an implicit surface."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def _edges(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique edges (E, 2) and, for each face side, its edge (F, 4). Side k runs from corner k to corner k + 1."""
    sides = np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2)
    edges, inverse = np.unique(np.sort(sides, 1), axis=0, return_inverse=True)
    return edges, inverse.reshape(-1, 4)


def split(quads: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """New quads of one level. New points are ordered: old points, edge points, face points."""
    edges, side = _edges(quads)
    e, f = count + side, count + len(edges) + np.arange(len(quads))
    new = [np.stack([quads[:, k], e[:, k], f, e[:, k - 1]], 1) for k in range(4)]
    return np.stack(new, 1).reshape(-1, 4), edges, count + len(edges) + len(quads)


def catmull_clark(quads: np.ndarray, count: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """One level of Catmull-Clark (Catmull and Clark 1978), boundaries as cubic B-splines.

    Returns:
        matrix (new points, count) and the new quads.
    """
    new, edges, _ = split(quads, count)
    E, F = len(edges), len(quads)
    face = _rows(np.repeat(np.arange(F), 4), quads.ravel(), np.full(4 * F, 0.25), (F, count))
    ends = _rows(np.repeat(np.arange(E), 2), edges.ravel(), np.full(2 * E, 0.5), (E, count))
    _, side = _edges(quads)
    touch = _rows(side.ravel(), np.repeat(np.arange(F), 4), np.ones(4 * F), (E, F))
    faces_at_edge = np.asarray(touch.sum(1)).ravel()
    inner = faces_at_edge == 2
    edge = sp.diags(inner * 1.0) @ (0.5 * ends + 0.25 * (touch @ face)) + sp.diags(~inner * 1.0) @ ends

    point_edge = _rows(edges.ravel(), np.repeat(np.arange(E), 2), np.ones(2 * E), (count, E))
    point_face = _rows(quads.ravel(), np.repeat(np.arange(F), 4), np.ones(4 * F), (count, F))
    n = np.maximum(np.asarray(point_face.sum(1)).ravel(), 1)
    on_border = np.asarray((point_edge @ sp.diags(~inner * 1.0)).sum(1)).ravel() > 0
    smooth = sp.diags(1 / n**2) @ (point_face @ face) + sp.diags(2 / n**2) @ (point_edge @ ends)
    smooth = smooth + sp.diags((n - 3) / n)
    border = 0.5 * sp.identity(count) + 0.25 * (point_edge @ sp.diags(~inner * 1.0) @ ends)
    used = np.asarray(point_face.sum(1)).ravel() > 0
    keep = sp.diags((used & ~on_border) * 1.0) @ smooth + sp.diags((used & on_border) * 1.0) @ border
    keep = keep + sp.diags(~used * 1.0)
    return sp.csr_matrix(sp.vstack([keep, edge, face])), new


def limit(quads: np.ndarray, count: int) -> sp.csr_matrix:
    """Moves each point of a quad mesh to its place on the limit surface (Halstead, Kass and DeRose 1993)."""
    edges, side = _edges(quads)
    E, F = len(edges), len(quads)
    at_edge = np.bincount(side.ravel(), minlength=E)
    inner = at_edge == 2
    n = np.bincount(quads.ravel(), minlength=count).astype(float)
    border = np.zeros(count, bool)
    border[edges[~inner].ravel()] = True
    smooth = (n > 0) & ~border
    scale = np.where(smooth, 1 / np.maximum(n * (n + 5), 1), 0)
    neighbours = _rows(np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]], np.ones(2 * E), (count, count))
    opposite = _rows(quads.ravel(), np.roll(quads, -2, 1).ravel(), np.ones(4 * F), (count, count))
    out = sp.diags(scale * n**2) + sp.diags(4 * scale) @ neighbours + sp.diags(scale) @ opposite
    b = edges[~inner]
    along = _rows(np.r_[b[:, 0], b[:, 1]], np.r_[b[:, 1], b[:, 0]], np.full(2 * len(b), 1 / 6), (count, count))
    out = out + sp.diags(border * (2 / 3)) + sp.diags(border * 1.0) @ along + sp.diags((n == 0) * 1.0)
    return sp.csr_matrix(out)


def _rows(i: np.ndarray, j: np.ndarray, w: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((w, (i, j)), shape=shape)


def triangulate(quads: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles along each quad's shorter diagonal, and the quad corners they use: (2F, 3), (2F, 3)."""
    d02 = np.linalg.norm(points[quads[:, 0]] - points[quads[:, 2]], axis=1)
    d13 = np.linalg.norm(points[quads[:, 1]] - points[quads[:, 3]], axis=1)
    first = (d02 <= d13 + 1e-7)[:, None]
    a = np.where(first, [0, 1, 2], [0, 1, 3])
    b = np.where(first, [0, 2, 3], [1, 2, 3])
    corner = np.stack([a, b], 1).reshape(-1, 3)
    rows = np.repeat(np.arange(len(quads)), 2)[:, None]
    return quads[rows, corner], corner


def clip(
    matrix: sp.csr_matrix, tris: np.ndarray, uv: np.ndarray, uv_tris: np.ndarray, part: np.ndarray, value: np.ndarray
) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keep where ``value`` (per vertex) is positive, with new vertices where it crosses zero.

    Returns matrix, triangles, uv, uv triangles and part of the clipped mesh; new rows mix the two ends of an edge.
    """
    # A crossing close to a vertex would make slivers: such vertices count as lying on the border.
    inside = value > 0
    made: dict[tuple[int, int], int] = {}
    made_uv: dict[tuple[int, int], int] = {}
    mix: list[tuple[int, int, float]] = []
    mix_uv: list[tuple[int, int, float]] = []

    def cross(a: int, b: int) -> tuple[int, float]:
        key = (min(a, b), max(a, b))
        t = float(np.clip(value[a] / (value[a] - value[b]), 0.02, 0.98))
        if key not in made:
            made[key] = len(value) + len(mix)
            mix.append((a, b, t))
        return made[key], t

    def cross_uv(a: int, b: int, t: float) -> int:
        key = (min(a, b), max(a, b))
        if key not in made_uv:
            made_uv[key] = len(uv) + len(mix_uv)
            mix_uv.append((a, b, t))
        return made_uv[key]

    out, out_uv, out_part = [], [], []
    count = inside[tris].sum(1)
    for f in np.flatnonzero(count > 0):
        v, u = tris[f].tolist(), uv_tris[f].tolist()
        if count[f] == 3:
            polygon, polygon_uv = v, u
        else:
            polygon, polygon_uv = [], []
            for k in range(3):
                a, b, ua, ub = v[k], v[(k + 1) % 3], u[k], u[(k + 1) % 3]
                if inside[a]:
                    polygon.append(a)
                    polygon_uv.append(ua)
                if inside[a] != inside[b]:
                    (a, b, ua, ub) = (a, b, ua, ub) if inside[a] else (b, a, ub, ua)
                    index, t = cross(a, b)
                    polygon.append(index)
                    polygon_uv.append(cross_uv(ua, ub, t))
        for k in range(1, len(polygon) - 1):
            out.append([polygon[0], polygon[k], polygon[k + 1]])
            out_uv.append([polygon_uv[0], polygon_uv[k], polygon_uv[k + 1]])
            out_part.append(part[f])
    extra = [(1 - t) * matrix[a] + t * matrix[b] for a, b, t in mix]
    matrix = sp.csr_matrix(sp.vstack([matrix, *extra]))
    uv = np.vstack([uv, *[(1 - t) * uv[a] + t * uv[b] for a, b, t in mix_uv]])
    tris, uv_tris = np.array(out), np.array(out_uv)
    used, tris = np.unique(tris, return_inverse=True)
    used_uv, uv_tris = np.unique(uv_tris, return_inverse=True)
    return matrix[used], tris.reshape(-1, 3), uv[used_uv], uv_tris.reshape(-1, 3), np.array(out_part)
