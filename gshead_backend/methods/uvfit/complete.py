"""Colours where the photo shows nothing: screened Poisson on the neighbour graph of the 3D points."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg

from .surface import nearest

_NEIGHBOURS = 10


def neighbour_graph(points: np.ndarray, normals: np.ndarray) -> csr_matrix:
    """(N, N) symmetric weights: Gaussian in distance over the local spacing, and of how well the normals agree."""
    k = min(_NEIGHBOURS, points.shape[0] - 1)
    distance, index = nearest(points, points, k + 1)
    distance, index = distance[:, 1:], index[:, 1:]
    local = np.maximum(distance.mean(1, keepdims=True), 1e-6)
    agree = np.clip((normals[:, None] * normals[index]).sum(-1), 0.02, 1)
    weight = np.exp(-((distance / local) ** 2)) * agree
    n = points.shape[0]
    W = coo_matrix((weight.ravel(), (np.repeat(np.arange(n), k), index.ravel())), (n, n)).tocsr()
    return (0.5 * (W + W.T)).tocsr()


def screened_poisson(
    graph: csr_matrix, value: np.ndarray, confidence: np.ndarray, prior: np.ndarray, prior_weight: np.ndarray,
    smooth: float = 0.05,
) -> np.ndarray:  # fmt: skip
    """Minimise ``confidence (x - value)^2 + prior_weight (x - prior)^2 + smooth sum w_ij (x_i - x_j)^2``.

    Args:
        value: (N, C) observed. confidence: (N,) 0..1. prior: (N, C) or (C,). prior_weight: (N,).
    """
    prior = np.broadcast_to(prior, value.shape)
    degree = np.asarray(graph.sum(1)).ravel()
    A = (diags(confidence + prior_weight + smooth * degree) - smooth * graph).tocsr()
    jacobi = diags(1.0 / A.diagonal())
    out = np.empty_like(value)
    for c in range(value.shape[1]):
        rhs = confidence * value[:, c] + prior_weight * prior[:, c]
        start = np.where(confidence > 0.3, value[:, c], prior[:, c])
        # To the end (some 400 iterations, .1 s): at 1e-3 the colour of a cheek never came around to the nape.
        out[:, c], _ = cg(A, rhs, x0=start, rtol=1e-6, maxiter=2000, M=jacobi)
    return out


def mirrored(
    points: np.ndarray, value: np.ndarray, confidence: np.ndarray, group: np.ndarray, weight: float = 0.35
) -> tuple[np.ndarray, np.ndarray]:
    """Evidence from the other side of the face, only where one's own confidence is below .15.

    Args:
        points: (N, 3) on the symmetric mean head. group: (N,) int, evidence never crosses groups.
    Returns:
        value and confidence with the mirrored evidence mixed in.
    """
    weak = np.flatnonzero(confidence < 0.15)
    strong = np.flatnonzero(confidence >= 0.15)
    if weak.size == 0 or strong.size == 0:
        return value, confidence
    distance, index = nearest(points[strong], points[weak] * [-1, 1, 1])
    source = strong[index]
    gain = weight * confidence[source] * (distance < 0.006) * (group[weak] == group[source])
    value, confidence = value.copy(), confidence.copy()
    total = confidence[weak] + gain
    share = np.where(total > 0, gain / np.maximum(total, 1e-9), 0)[:, None]
    value[weak] = (1 - share) * value[weak] + share * value[source]
    confidence[weak] = total
    return value, confidence
