"""Head fit to landmarks: regularised robust Gauss-Newton over pose, focal length, identity and expression.

Minimises, over rotation R, translation t, focal length f, identity b and controls u::

    sum_l  rho(|project(R x_l(b, u) + t) - y_l| / sigma_l)  +  |b|^2  +  sum_i (u_i / sd_i)^2  + camera priors

with x_l on the surface at landmark l, rho Huber's function, sigma_l the landmark's scatter on the head in metres
times f / depth, and u kept inside its bounds by an active set. Derivatives are analytic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ..head.model import HeadModel
from ..head.rotation import axis_angle_to_matrix, euler_to_matrix, matrix_to_axis_angle
from .points import surface_points
from .priors import LOG_DISTANCE, LOG_F35, PAIR_SD, Controls, controls_for

LANDMARKS = 468
ITERATIONS = 30
EXPRESSION_FROM = 4
IDENTITY_FROM = 6
SIGMA_MIN, SIGMA_MAX = 0.0015, 0.02
CORRELATION = 0.5  # neighbouring landmarks err together: each weighs like this share of an independent one
ROBUST = 0.05  # of the interocular distance


@dataclass(frozen=True)
class Observation:
    """What the solver explains. points: (n, 2) pixels. sigma: (n,) metres. center: (2,) principal point.

    log_focal: mean and standard deviation of the log of the focal length in pixels.
    controls: (U,) what something other than landmarks says about the controls, and (U,) its standard deviation; it
        stands in place of the prior of ``Controls`` where that deviation is finite.
    rotation: (3, 3) head-to-camera rotation that something else sees, and its (3,) standard deviations in radians about
        the camera's axes.
    """

    points: np.ndarray
    sigma: np.ndarray
    center: np.ndarray
    log_focal: tuple[float, float]
    controls: tuple[np.ndarray, np.ndarray] | None = None
    rotation: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class State:
    """R (3, 3) and t (3,): head to OpenCV camera. focal: pixels. betas: (B,). controls: (U,)."""

    R: np.ndarray
    t: np.ndarray
    focal: float
    betas: np.ndarray
    controls: np.ndarray


class HeadSolver:
    """Fits one head model; made once a head, used for every photo."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self.controls: Controls = controls_for(head)
        self.points = surface_points(head, head.landmark_triangles, head.landmark_bary)
        self._joint = head.joints[2].astype(np.float64)
        self._joint_identity = head.joints_identity[2].astype(np.float64)

    def initial(self, seen: Observation, depth: np.ndarray) -> State:
        """Similarity alignment of the mean face to the landmarks and the network's own depth."""
        model, image = self.points.rest, np.concatenate([seen.points, depth[:, None]], 1)
        weight = 1 / np.clip(seen.sigma, SIGMA_MIN, SIGMA_MAX) ** 2
        weight = weight / weight.sum()
        a, b = model - weight @ model, image - weight @ image
        u, s, vt = np.linalg.svd((b * weight[:, None]).T @ a)
        flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
        R = u @ flip @ vt
        scale = (s * np.diag(flip)).sum() / (weight @ (a * a).sum(1))  # pixels per metre
        focal = math.exp(seen.log_focal[0])
        z = focal / scale
        middle = (weight @ image)[:2] - seen.center
        t = np.array([middle[0] / scale, middle[1] / scale, z]) - R @ (weight @ model)
        return State(R, t, focal, np.zeros(self.head.identity_count), np.zeros(self.controls.sd.size))

    def place(self, betas: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """(n, 3) landmark positions in head space."""
        return self._shape(betas, controls)[0]

    def project(self, state: State, center: np.ndarray) -> np.ndarray:
        """(n, 2) pixels."""
        camera = self.place(state.betas, state.controls) @ state.R.T + state.t
        return state.focal * camera[:, :2] / camera[:, 2:] + center

    def solve(
        self,
        seen: Observation,
        start: State,
        *,
        iterations: int = ITERATIONS,
        fixed_controls: np.ndarray | None = None,
        warm: bool = False,
    ) -> State:
        """Gauss-Newton from ``start``.

        Args:
            fixed_controls: (U,) offsets of controls that the solver must not move (those with sd 0).
            warm: everything is free from the first iteration.
        """
        state = start if fixed_controls is None else replace(start, controls=start.controls + fixed_controls)
        for i in range(iterations):
            free_expression = warm or i >= EXPRESSION_FROM
            free_identity = warm or i >= IDENTITY_FROM
            state, change = self._step(seen, state, free_identity, free_expression)
            if free_identity and i > IDENTITY_FROM + 4 and change < 1e-3:
                break
        return state

    def _shape(self, betas: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Landmarks, their local linear map (n, 3, 3), arms from the jaw joint (n, 3), expression gain (E,)."""
        gain = np.ones(self.head.expression_count)
        if self.head.expression_gain is not None:
            gain = 1 + self.head.expression_gain @ betas
        p = self.points
        x = p.rest + p.identity @ betas + p.expression @ (gain * (self.controls.to_expression @ controls))
        arm = x - (self._joint + self._joint_identity @ betas)
        turn = euler_to_matrix(self.controls.to_jaw @ controls) - np.eye(3)
        local = np.eye(3) + p.jaw[:, None, None] * turn
        return x + p.jaw[:, None] * (arm @ turn.T), local, arm, gain

    def _jacobian(self, state: State, identity: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Camera-space points (n, 3) and their derivative (n, 3, 6 + B + U) by rotation, translation, b and u.

        ``identity`` False: without the columns of b.
        """
        head, ctl, p = self.head, self.controls, self.points
        x, local, arm, gain = self._shape(state.betas, state.controls)
        rotated = x @ state.R.T
        n, b, u = x.shape[0], head.identity_count if identity else 0, ctl.sd.size
        J = np.zeros((n, 3, 6 + b + u))
        J[:, 0, 1], J[:, 0, 2] = rotated[:, 2], -rotated[:, 1]
        J[:, 1, 0], J[:, 1, 2] = -rotated[:, 2], rotated[:, 0]
        J[:, 2, 0], J[:, 2, 1] = rotated[:, 1], -rotated[:, 0]
        J[:, :, 3:6] = np.eye(3)
        linear = state.R @ local
        if identity:
            joint = (np.eye(3) - local) @ self._joint_identity  # the jaw joint moves with identity
            J[:, :, 6 : 6 + b] = linear @ p.identity + state.R @ joint
        moved = p.expression @ (gain[:, None] * ctl.to_expression)
        J[:, :, 6 + b :] = linear @ moved
        angles, step = ctl.to_jaw @ state.controls, 1e-5
        for axis in np.flatnonzero(np.abs(ctl.to_jaw).sum(1)):
            nudge = np.zeros(3)
            nudge[axis] = step
            derivative = (euler_to_matrix(angles + nudge) - euler_to_matrix(angles - nudge)) / (2 * step)
            swing = p.jaw[:, None] * (arm @ derivative.T @ state.R.T)
            J[:, :, 6 + b :] += swing[:, :, None] * ctl.to_jaw[axis]
        return rotated + state.t, J

    def linearize(self, seen: Observation, state: State, *, identity: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Gauss-Newton's matrix and gradient, priors included: rotation, translation, b, u, log focal length.

        ``identity`` False: without b.
        """
        camera, J3 = self._jacobian(state, identity)
        z = camera[:, 2:]
        flat = camera[:, :2] / z
        residual = state.focal * flat + seen.center - seen.points
        J = (state.focal / z)[:, :, None] * (J3[:, :2] - flat[:, :, None] * J3[:, 2:])
        J = np.concatenate([J, (state.focal * flat)[:, :, None]], 2)  # last column: log focal
        weight = self._weights(seen, state, camera, residual)
        rows, e = J.reshape(-1, J.shape[2]), residual.reshape(-1)
        weighted = rows * np.repeat(weight, 2)[:, None]
        H, g = weighted.T @ rows, weighted.T @ e
        self._add_priors(H, g, seen, state, z, identity)
        return H, g

    def _step(self, seen: Observation, state: State, free_identity: bool, free_expression: bool) -> tuple[State, float]:
        H, g = self.linearize(seen, state)
        b = self.head.identity_count
        free = self.free(state, g[6 + b : -1])
        delta = np.zeros(H.shape[0])
        mask = np.concatenate([np.ones(6, bool), np.full(b, free_identity), free & free_expression, [free_identity]])
        index = np.flatnonzero(mask)
        delta[index] = -cho_solve(cho_factor(H[np.ix_(index, index)]), g[index])
        new = self.moved(state, delta[:6], delta[6 + b : -1], delta[6 : 6 + b], float(delta[-1]))
        return new, float(np.abs(delta[6:-1]).max()) + float(np.abs(delta[:3]).max())

    def free(self, state: State, gradient: np.ndarray) -> np.ndarray:
        """(U,) bool: controls that may move, which those at a bound do only inward."""
        ctl = self.controls
        stuck = ((state.controls <= ctl.low) & (gradient > 0)) | ((state.controls >= ctl.high) & (gradient < 0))
        return (ctl.sd > 0) & ~stuck

    def moved(
        self, state: State, rigid: np.ndarray, controls: np.ndarray, betas: np.ndarray | None = None,
        log_focal: float = 0.0,
    ) -> State:  # fmt: skip
        """A state after a step of limited length. rigid: (6,) rotation about the camera's axes, translation."""
        ctl = self.controls
        return State(
            axis_angle_to_matrix(_limited(rigid[:3], 0.35)) @ state.R,
            state.t + rigid[3:],
            state.focal * math.exp(float(np.clip(log_focal, -0.3, 0.3))),
            state.betas if betas is None else state.betas + np.clip(betas, -2, 2),
            np.where(ctl.sd > 0, np.clip(state.controls + controls, ctl.low, ctl.high), state.controls),
        )

    def _weights(self, seen: Observation, state: State, camera: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """(n,) Huber and visibility weights over the variance in pixels."""
        sigma = np.clip(seen.sigma, SIGMA_MIN, SIGMA_MAX) * state.focal / camera[:, 2]
        visible = self.visibility(state, camera)
        limit = ROBUST * np.linalg.norm(seen.points[33] - seen.points[263])
        size = np.linalg.norm(residual, axis=1)
        robust = np.minimum(1, limit / np.maximum(size, 1e-9))
        return CORRELATION * visible * robust / sigma**2

    def visibility(self, state: State, camera: np.ndarray) -> np.ndarray:
        """(n,) 0..1: landmarks at camera-space points (n, 3) that face the camera."""
        normal = self.points.normal @ state.R.T
        facing = -(normal * camera).sum(1) / np.linalg.norm(camera, axis=1)
        return np.clip((facing - 0.05) / 0.35, 0, 1)

    def _add_priors(
        self, H: np.ndarray, g: np.ndarray, seen: Observation, state: State, z: np.ndarray, identity: bool
    ) -> None:
        b, ctl = self.head.identity_count if identity else 0, self.controls
        diagonal = np.arange(H.shape[0])
        precision = np.zeros(H.shape[0])
        precision[6 : 6 + b] = 1.0
        precision[6 + b : -1] = np.where(ctl.sd > 0, 1 / np.maximum(ctl.sd, 1e-6) ** 2, 0)
        precision[-1] = 1 / seen.log_focal[1] ** 2
        value = np.zeros(H.shape[0])
        lean = np.zeros(ctl.sd.size)  # what the controls are expected to be
        if seen.controls is not None:
            known = np.isfinite(seen.controls[1]) & (ctl.sd > 0)
            lean = np.where(known, seen.controls[0], 0.0)
            precision[6 + b : -1] = np.where(known, 1 / seen.controls[1] ** 2, precision[6 + b : -1])
        value[6 : 6 + b], value[6 + b : -1] = state.betas[:b], state.controls - lean
        value[-1] = math.log(state.focal) - seen.log_focal[0]
        H[diagonal, diagonal] += precision
        g += precision * value
        for left, right in ctl.pairs + 6 + b:
            stiff = 1 / PAIR_SD**2
            difference = value[left] - value[right]
            H[left, left] += stiff
            H[right, right] += stiff
            H[left, right] -= stiff
            H[right, left] -= stiff
            g[left] += stiff * difference
            g[right] -= stiff * difference
        if seen.rotation is not None:
            away = matrix_to_axis_angle(state.R @ seen.rotation[0].T)
            H[diagonal[:3], diagonal[:3]] += 1 / seen.rotation[1] ** 2
            g[:3] += away / seen.rotation[1] ** 2
        distance = float(z.mean())
        stiff = 1 / (LOG_DISTANCE[1] * distance) ** 2
        H[5, 5] += stiff
        g[5] += stiff * distance * (math.log(distance) - LOG_DISTANCE[0])


def _limited(step: np.ndarray, most: float) -> np.ndarray:
    length = float(np.linalg.norm(step))
    return step if length <= most else step * (most / length)


def focal_prior(photo_size: tuple[int, int], focal_px: float | None, exif_sd: float) -> tuple[float, float]:
    """Mean and standard deviation of log focal length in pixels for a (width, height) photo."""
    if focal_px is not None:
        return math.log(focal_px), exif_sd
    return LOG_F35[0] + math.log(math.hypot(*photo_size) / math.hypot(36, 24)), LOG_F35[1]
