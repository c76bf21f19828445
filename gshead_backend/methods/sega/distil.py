"""What a network does to splats as the pose changes, as an avatar's low-rank residual ("Gaussian shape keys").

The residual is linear in the pose, so this is reduced-rank regression (Izenman 1975): least squares from pose features
to the changes, then the best approximation of the fitted changes at the wanted rank. Two errors come of it and are
reported apart: what is not linear in the pose, and what the rank leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..common.edits import COLOR, LOG_SCALE, LOGIT, SHIFT, STATIC

MAX_RANK = 16
"""A frame reads the whole basis: 52 directions more than double the time of a frame, and a dozen tell nearly all."""
ENOUGH = 0.99  # of the fitted changes' energy: no more directions than that takes
FAINT = 0.1  # of ``UNIT``, root mean square over poses: points that change less stay still
UNIT = np.empty(STATIC)
"""Changes of a splat's numbers that look about equally large: 1 mm, a fiftieth of the colours' range, 10 % ..."""
UNIT[SHIFT], UNIT[COLOR], UNIT[LOG_SCALE], UNIT[LOGIT] = 1e-3, 0.02, 0.1, 0.5
_RIDGE = 1e-3  # of the features' mean square: directions that hardly occur stay still


@dataclass(frozen=True)
class Distilled:
    """Changes that are linear in the pose, of M points.

    Attributes:
        basis: (M, 10, K) of ``edits.STATIC`` channels. gain: (K, F). bias: (K,).
        linear_error: root mean square of what is not linear in the pose. rank_error: of what the rank leaves
            out, and of faint changes.
        change: of the changes themselves. All three in units of ``UNIT``, so about just noticeable differences.
    """

    basis: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    linear_error: float
    rank_error: float
    change: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(P, F) pose features to changes (P, M, 10)."""
        return np.einsum("mck,pk->pmc", self.basis, features @ self.gain.T + self.bias)

    def scattered(self, rows: np.ndarray, count: int) -> np.ndarray:
        """(count, 10, K) the basis with its M points at ``rows`` (M,) of more, the others still."""
        out = np.zeros((count, *self.basis.shape[1:]), np.float32)
        out[rows] = self.basis
        return out

    def share(self) -> float:
        """0..1 of the changes' energy that is kept; 1 when there is no change at all."""
        lost = self.linear_error**2 + self.rank_error**2
        return 1.0 if self.change == 0 else 1 - lost / self.change**2


def distil(
    features: np.ndarray, changes: np.ndarray, origin: np.ndarray, rank: int = MAX_RANK, *, enough: float = ENOUGH,
    faint: float = FAINT,
) -> Distilled:  # fmt: skip
    """Fit linear changes to those of a network.

    Args:
        features: (P, F) what ``avatar.drive.pose_features`` says of P poses. changes: (P, M, 10) of M points.
        origin: (F,) features of the pose in which nothing changes, neither before nor after. rank: K at most.
        enough, faint: see ``ENOUGH``, ``FAINT``.
    """
    poses, points = changes.shape[:2]
    y = (changes / UNIT).reshape(poses, -1).astype(np.float64)
    x = (features - origin).astype(np.float64)
    gram = x.T @ x
    ridge = _RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12)
    slope = np.linalg.solve(gram + ridge * np.eye(len(gram)), x.T @ y)  # (F, 10 M)
    fitted = x @ slope
    values, axes = np.linalg.eigh(fitted @ fitted.T)  # the small side: there are fewer poses than numbers
    order = np.argsort(values)[::-1]
    share = np.cumsum(values[order]) / max(float(values.sum()), 1e-30)
    order = order[: min(rank, int(np.searchsorted(share, enough)) + 1)]
    order = order[values[order] > 1e-12 * max(float(values.max()), 1e-30)]
    along = (fitted.T @ axes[:, order]) / np.sqrt(values[order])  # (10 M, K) orthonormal
    usual = np.sqrt(values[order] / poses)  # codes of about 1, so that the basis is in the units of what it changes
    gain = (slope @ along).T / usual[:, None]
    basis = (along * usual).reshape(points, STATIC, -1)
    basis[np.sqrt((basis**2).sum(2)).max(1) < faint] = 0
    kept = (x @ gain.T) @ basis.reshape(len(y[0]), -1).T
    basis = basis * UNIT[:, None]
    return Distilled(
        basis.astype(np.float32), gain.astype(np.float32), (-gain @ origin).astype(np.float32),
        _rms(y - fitted), _rms(fitted - kept), _rms(y),
    )  # fmt: skip


def error_by_channel(told: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Root mean square difference of two (P, M, 10) changes: metres, sRGB, log, logit."""
    parts = {"shift": SHIFT, "color": COLOR, "log_scale": LOG_SCALE, "logit": LOGIT}
    return {name: _rms(told[..., c] - wanted[..., c]) for name, c in parts.items()}


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a))))
