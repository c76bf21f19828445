"""Between the truth of a folder and the head models' own terms: poses, channels, angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from ..head.arkit import ARKIT_INDEX, ARKIT_NAMES
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.rotation import axis_angle_to_matrix, euler_to_matrix, matrix_to_axis_angle, matrix_to_euler
from ..head.skinning import pose_from_arkit
from ..portrait.gaze import look_channels
from .multiview import Frame

ACTIVE = 0.1
BLINK, SEEN_BLINK = 0.7, 0.5
LOOKS = np.array([name.startswith("eyeLook") for name in ARKIT_NAMES])
BLINKS = (ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"])


def pose_of_frame(head: HeadModel, frame: Frame) -> HeadPose:
    """The pose of ``head`` for a frame's true weights; its gaze, where known, turns the eyes instead of eyeLook*."""
    arkit = np.zeros(52, np.float32) if frame.arkit is None else frame.arkit.copy()
    if frame.gaze is None:
        return pose_from_arkit(head, arkit)
    eyes = np.stack([-frame.gaze[:, 1], frame.gaze[:, 0], np.zeros(2)], 1)
    arkit[LOOKS] = look_channels(head, eyes)[LOOKS]
    pose = pose_from_arkit(head, arkit)
    return replace(pose, eye_pose=matrix_to_axis_angle(euler_to_matrix(eyes)).reshape(6))


def arkit_of_pose(head: HeadModel, pose: HeadPose) -> np.ndarray | None:
    """(52,) the channels that give a pose's expression and jaw, none negative; None for heads without ARKit."""
    if not np.abs(head.arkit_expression).sum() > 0:
        return None
    rows = np.concatenate([head.arkit_expression.T, head.arkit_jaw.T]).astype(np.float64)
    jaw = matrix_to_euler(axis_angle_to_matrix(pose.jaw_pose.astype(np.float64)))
    wanted = np.concatenate([pose.expression, jaw]).astype(np.float64)
    return nnls(rows, wanted)[0]


def gaze_directions(gaze: np.ndarray) -> np.ndarray:
    """(2, 3) unit vectors of (2, 2) yaw and pitch."""
    yaw, pitch = gaze[:, 0], gaze[:, 1]
    return np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], 1)


def gaze_of_pose(pose: HeadPose) -> np.ndarray:
    """(2, 3) unit vectors in which the left and the right eye of a pose look, head space."""
    return axis_angle_to_matrix(pose.eye_pose.reshape(2, 3).astype(np.float64))[:, :, 2]


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Mean angle in degrees of (n, 3) unit vectors."""
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1))).mean())


def channel_scores(truth: np.ndarray, estimate: np.ndarray) -> dict[str, float | None]:
    """Errors of ARKit weights over the channels whose truth is above ``ACTIVE``.

    Gaze has its own error, so eyeLook* channels do not count. Blinks: true above .7, seen above .5, per eye.

    Args:
        truth, estimate: (n, 52).
    Returns:
        mae, mae_zero (of an estimate that is always zero), corr (Pearson, over all active values), blink_recall,
        quiet (mean estimate where the truth is zero). None where it cannot be said.
    """
    active = (truth > ACTIVE) & ~LOOKS
    a, b = truth[active], estimate[active]
    varied = a.size > 2 and a.std() > 1e-6 and b.std() > 1e-6
    shut = truth[:, BLINKS] >= BLINK
    quiet = (truth == 0) & ~LOOKS
    return {
        "mae": float(np.abs(a - b).mean()) if a.size else None,
        "mae_zero": float(a.mean()) if a.size else None,
        "corr": float(np.corrcoef(a, b)[0, 1]) if varied else None,
        "blink_recall": float((estimate[:, BLINKS][shut] >= SEEN_BLINK).mean()) if shut.any() else None,
        "quiet": float(estimate[quiet].mean()) if quiet.any() else None,
    }


def similarity_error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of corresponding (n, 3) points after the best rotation, translation and scale (Umeyama 1991)."""
    a, b = points - points.mean(0), truth - truth.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    R = (u * flip) @ vt
    scale = (s * flip).sum() / (a * a).sum()
    return float(np.linalg.norm(scale * a @ R.T - b, axis=1).mean())
