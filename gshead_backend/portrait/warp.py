"""The last millimetre: a smooth displacement of the neutral mesh that closes the gap to landmarks and outline.

Solves, on the control points when the head has a subdivision matrix and on the vertices otherwise::

    min_d  sum_k w_k |P_k d - delta_k|^2  +  s^4 sum_i |(L d)_i|^2  +  pull |d|^2

with P_k the point's barycentric row, delta_k its residual moved back into head space parallel to the image plane and
L the Laplacian of the mesh graph, normalised to unit edge length. Nothing moves along the line of sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ..head.model import HeadModel
from ..head.rotation import euler_to_matrix
from .outline import Outline
from .points import dense_rows
from .solver import SIGMA_MIN, HeadSolver, Observation, State

SMOOTH = 0.008  # metres; details smaller than this are not followed
STIFF = 0.3
PULL = 0.02
MAX_OFFSET = 0.006


@dataclass(frozen=True)
class Targets:
    """Points that should move. matrix: (k, C) sparse, from control points. shift: (k, 3) metres, head space.

    weight: (k,) 0..1, 1 for a landmark that is seen well.
    """

    matrix: Any
    shift: np.ndarray
    weight: np.ndarray


class Warper:
    """The smoothness of one head's neutral mesh; made once a head."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self._all: Any = dense_rows(head, np.arange(head.vertex_count)).astype(np.float64)
        graph: Any = self._graph()
        degree = np.asarray(graph.sum(1)).ravel()
        laplacian: Any = sparse.identity(graph.shape[0]) - sparse.diags(1 / np.maximum(degree, 1e-12)) @ graph
        edges: Any = sparse.coo_matrix(sparse.triu(graph))
        lengths = np.linalg.norm(head.template[edges.row] - head.template[edges.col], axis=1)
        spacing = np.bincount(edges.row, lengths, graph.shape[0]) + np.bincount(edges.col, lengths, graph.shape[0])
        count = np.bincount(edges.row, minlength=graph.shape[0]) + np.bincount(edges.col, minlength=graph.shape[0])
        spacing = np.maximum(spacing / np.maximum(count, 1), 2e-4)
        # (L d) / h^2 approximates the Laplacian; times s^2 it is dimensionless; area weight h^2 / s^2
        scaled: Any = sparse.diags(SMOOTH / spacing) @ laplacian
        self._smooth = (scaled.T @ scaled).tocsc()
        self._area = sparse.diags((spacing / SMOOTH) ** 2)

    def _graph(self) -> Any:
        """(C, C) symmetric adjacency with unit weights."""
        head = self.head
        if head.subdivision is None:
            f = head.faces
            pairs = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
        else:  # control points that meet in one dense vertex are neighbours
            sharp = self._all.multiply(self._all > 0.08)
            shared = (sharp.T @ sharp).tocoo()
            pairs = np.stack([shared.row, shared.col], 1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        c = head.template.shape[0]
        adjacency: Any = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (c, c)).tocsr()
        adjacency = adjacency + adjacency.T
        adjacency.data[:] = 1
        return adjacency

    def offsets(self, targets: Targets) -> np.ndarray:
        """(V, 3) float32 metres."""
        m: Any = targets.matrix
        system: Any = m.T @ sparse.diags(targets.weight) @ m + STIFF * self._smooth + PULL * self._area
        right = m.T @ (targets.weight[:, None] * targets.shift)
        moved = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
        dense = np.asarray(self._all @ moved)
        length = np.linalg.norm(dense, axis=1, keepdims=True)
        return (dense * np.minimum(1, MAX_OFFSET / np.maximum(length, 1e-9))).astype(np.float32)

    def landmark_targets(self, solver: HeadSolver, seen: Observation, state: State) -> Targets:
        """What the fit left over at the landmarks."""
        head = self.head
        residual = seen.points - solver.project(state, seen.center)
        camera = solver.place(state.betas, state.controls) @ state.R.T + state.t
        weight = solver.visibility(state, camera) * np.minimum(1, SIGMA_MIN / np.maximum(seen.sigma, 1e-6)) ** 2
        corners = head.faces[head.landmark_triangles]
        matrix = self._rows(corners, head.landmark_bary)
        turn = euler_to_matrix(solver.controls.to_jaw @ state.controls) - np.eye(3)
        local = np.eye(3) + solver.points.jaw[:, None, None] * turn
        return Targets(matrix, _back(residual, camera[:, 2] / state.focal, state.R, local), weight)

    def outline_targets(self, solver: HeadSolver, state: State, outline: Outline, vertices: np.ndarray) -> Targets:
        """What the jaw's outline lacks. vertices: (V, 3) posed."""
        bary = np.stack([1 - outline.mix, outline.mix], 1)
        matrix = self._rows(outline.edges, bary)
        points = (vertices[outline.edges] * bary[:, :, None]).sum(1)
        depth = points @ state.R[2] + state.t[2]
        jaw = (self.head.skin_weights[outline.edges, 2] * bary).sum(1)
        turn = euler_to_matrix(solver.controls.to_jaw @ state.controls) - np.eye(3)
        local = np.eye(3) + jaw[:, None, None] * turn
        density = 40 / max(len(bary), 1)  # an outline weighs like 40 landmarks however finely it is sampled
        return Targets(matrix, _back(outline.shift, depth / state.focal, state.R, local), outline.weight * density)

    def _rows(self, corners: np.ndarray, weights: np.ndarray) -> Any:
        """(k, C) evaluation of points between dense vertices: corners (k, m) indices, weights (k, m)."""
        k, m = corners.shape
        blend: Any = sparse.csr_matrix(
            (weights.reshape(-1), corners.reshape(-1), np.arange(0, k * m + 1, m)), (k, self._all.shape[0])
        )
        return (blend @ self._all).tocsr()


def together(*targets: Targets) -> Targets:
    """All targets in one."""
    stacked: Any = sparse.vstack([t.matrix for t in targets])
    return Targets(
        stacked.tocsr(),
        np.concatenate([t.shift for t in targets]),
        np.concatenate([t.weight for t in targets]),
    )


def _back(pixels: np.ndarray, metres_per_pixel: np.ndarray, R: np.ndarray, local: np.ndarray) -> np.ndarray:
    """(k, 2) image shifts to (k, 3) shifts of the neutral mesh before the jaw turned."""
    shift = np.concatenate([pixels * metres_per_pixel[:, None], np.zeros((len(pixels), 1))], 1) @ R
    return np.linalg.solve(local, shift[:, :, None])[:, :, 0]
