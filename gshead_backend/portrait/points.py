"""Points on a head's surface as functions of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..head.model import HeadModel


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a head's surface as linear functions of identity and expression (before the jaw turns).

    Attributes:
        rest: (n, 3). identity: (n, 3, B). expression: (n, 3, E). jaw: (n,) skinning weight of the jaw.
        normal: (n, 3) unit, on the mean head.
    """

    rest: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    jaw: np.ndarray
    normal: np.ndarray


def dense_rows(head: HeadModel, rows: np.ndarray) -> Any:
    """(n, C) sparse matrix that evaluates dense vertices ``rows`` from control points."""
    if head.subdivision is None:
        ones = np.ones(rows.size)
        return sparse.csr_matrix((ones, (np.arange(rows.size), rows)), (rows.size, head.template.shape[0]))
    s = head.subdivision
    return sparse.csr_matrix((s.data, s.indices, s.indptr), (s.indptr.size - 1, s.columns))[rows]


def surface_points(head: HeadModel, triangles: np.ndarray, bary: np.ndarray) -> SurfacePoints:
    """The points ``bary`` (n, 3) in ``triangles`` (n,) of the head."""
    n = triangles.size
    corners = head.faces[triangles]
    blend: Any = sparse.csr_matrix((bary.reshape(-1), (np.repeat(np.arange(n), 3), np.arange(3 * n))), (n, 3 * n))
    rows = dense_rows(head, corners.reshape(-1))
    matrix = (blend @ rows).astype(np.float64)

    def apply(array: np.ndarray) -> np.ndarray:
        return np.asarray(matrix @ array.reshape(array.shape[0], -1).astype(np.float64)).reshape(n, *array.shape[1:])

    a, b, c = (np.asarray((rows @ head.template)[k::3], np.float64) for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    jaw = (head.skin_weights[corners, 2] * bary).sum(1).astype(np.float64)
    return SurfacePoints(apply(head.template), apply(head.identity_dirs), apply(head.expression_dirs), jaw, normal)
