"""Who is in a clip: one identity and one focal length for all frames; and the fit of a frame when they are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ...camera import Camera
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ..beliefs import told_in_clip, told_rotation, trusted
from ..fit import posed
from ..gaze import gaze_angles, gaze_euler, look_channels
from ..nets.regressor import face_ray
from ..solver import LANDMARKS, HeadSolver, Observation, State, focal_prior
from .follow import Seen
from .habits import nodding, settled

KEYS = 16
"""Frames that identity and focal length are found from."""
ROUNDS = 8
STEPS = 2
KNOWN = 1e-3
"""Relative doubt about the focal length of a calibrated camera."""


class Person:
    """Fits one head model to the frames of one clip.

    Args:
        focal: pixels, where the camera is known; all frames then have the same size.
    """

    def __init__(self, head: HeadModel, seen: Seen, focal: float | None = None) -> None:
        self.solver = HeadSolver(head)
        usual = settled(seen.arkit, seen.found)
        self.settled = usual is not None
        self.seen = replace(seen, arkit=seen.arkit if usual is None else usual, head=nodding(seen.head, seen.found))
        self._sigma = trusted(head.landmark_sigma)
        self.found = np.flatnonzero(seen.found)
        if not self.found.size:
            raise ValueError("No frame shows a face.")  # the caller has told the user
        size = seen.size[self.found[0]]
        self.log_focal = focal_prior((int(size[0]), int(size[1])), focal, KNOWN)
        self.betas = np.zeros(head.identity_count)
        self._meet()

    def observation(self, i: int) -> Observation:
        """Frame i as the solver wants it."""
        points, center = self.seen.points[i], self.seen.size[i] / 2
        out = Observation(points[:LANDMARKS, :2], self._sigma, center, self.log_focal)
        reading = self.seen.reading(i)
        if reading is None:
            return out
        focal = math.exp(self.log_focal[0])
        K = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
        controls = told_in_clip(reading, self.settled) if self.solver.controls.arkit else None
        return replace(out, controls=controls, rotation=told_rotation(reading, face_ray(points[:, :2], K)))

    def fit(self, i: int, start: State | None, steps: int = STEPS) -> State:
        """Pose and expression in frame i; identity and focal length are known. ``start``: the frame before."""
        seen = self.observation(i)
        reading = self.seen.reading(i)
        if start is None:
            start = replace(self.solver.initial(seen, self.seen.points[i, :LANDMARKS, 2]), betas=self.betas)
            start, steps = replace(start, focal=math.exp(self.log_focal[0])), 6 * steps
        state = start
        if reading is not None:  # lids follow the eyes
            looking = look_channels(self.solver.head, gaze_euler(reading.gaze))
            state = replace(state, controls=np.where(self.solver.controls.sd > 0, state.controls, looking))
        for _ in range(steps):
            H, g = self.solver.linearize(seen, state, identity=False)
            free = np.concatenate([np.ones(6, bool), self.solver.free(state, g[6:-1]), [False]])
            delta = np.zeros(g.size)
            delta[free] = -cho_solve(cho_factor(H[np.ix_(free, free)]), g[free])
            state = self.solver.moved(state, delta[:6], delta[6:-1])
        return state

    def arkit(self, state: State) -> np.ndarray:
        """(52,) weights; eyeLook* are zero."""
        return np.where(self.solver.controls.sd > 0, state.controls, 0.0)

    def gaze(self, i: int, state: State, rest: np.ndarray) -> np.ndarray:
        """(2, 3) Euler XYZ angles of the left and right eyeball in frame i; traced from the irises where no regressor
        is installed. rest: (V, 3) this person's head at rest."""
        reading = self.seen.reading(i)
        if reading is not None:
            return gaze_euler(reading.gaze.astype(np.float64))
        size = self.seen.size[i]
        K = np.array([[state.focal, 0, size[0] / 2], [0, state.focal, size[1] / 2], [0, 0, 1.0]])
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = state.R, state.t
        camera = Camera(int(size[0]), int(size[1]), K, viewmat)
        return gaze_angles(self.solver.head, self.betas, rest, self.seen.points[i, :, :2], camera)

    def pose(self, i: int, state: State, rest: np.ndarray) -> HeadPose:
        """What the face does in frame i, which ``state`` fits; the head's motion stays there. rest: (V, 3)."""
        return posed(self.solver, state.controls, self.gaze(i, state, rest))

    def keys(self) -> list[int]:
        """Quiet frames from all over the clip, no strong turns where there are others."""
        activity = np.nan_to_num(self.seen.arkit).sum(1) + 4 * np.maximum(np.abs(self.seen.head[:, 0]) - 0.5, 0)
        parts = np.array_split(self.found, min(KEYS, self.found.size))
        return [int(part[activity[part].argmin()]) for part in parts]

    def _meet(self) -> None:
        """Identity and focal length that explain the key frames together.

        Gauss-Newton on all of them at once: pose and expression of each are eliminated (Schur complement), what is left
        is summed, and the priors of the shared unknowns count once.
        """
        solver, b = self.solver, self.betas.size
        keys = self.keys()
        seen = [self.observation(i) for i in keys]
        states = [self.fit(i, None) for i in keys]
        betas, focal = self.betas, math.exp(self.log_focal[0])
        shared = np.r_[6 : 6 + b, -1]
        for _ in range(ROUNDS):
            states = [replace(s, betas=betas, focal=focal) for s in states]
            prior = np.append(np.ones(b), 1 / self.log_focal[1] ** 2)
            lean = np.append(betas, math.log(focal) - self.log_focal[0])
            left, right, parts = np.diag(prior), prior * lean, []
            for observation, state in zip(seen, states, strict=True):
                H, g = solver.linearize(observation, state)
                own = np.concatenate([np.ones(6, bool), np.zeros(b, bool), solver.free(state, g[6 + b : -1]), [False]])
                factor = cho_factor(H[np.ix_(own, own)])
                cross = H[np.ix_(own, shared % H.shape[0])]
                left += H[np.ix_(shared % H.shape[0], shared % H.shape[0])] - np.diag(prior)
                left -= cross.T @ cho_solve(factor, cross)
                right = right + g[shared] - prior * lean - cross.T @ cho_solve(factor, g[own])
                parts.append((own, factor, cross, g))
            step = np.clip(-np.linalg.solve(left, right), -1.5, 1.5)
            moved = []
            for state, (own, factor, cross, g) in zip(states, parts, strict=True):
                delta = np.zeros(g.size)
                delta[own] = -cho_solve(factor, g[own] + cross @ step)
                moved.append(solver.moved(state, delta[:6], delta[6 + b : -1]))
            betas, focal, states = betas + step[:-1], focal * math.exp(float(np.clip(step[-1], -0.3, 0.3))), moved
        self.betas, self.log_focal = betas, (math.log(focal), 1e-3)
