"""The animation of an imported head as a take: ARKit channels and joint rotations, one key a frame."""

from __future__ import annotations

import numpy as np

from ..avatar.recording import REST, REST_DEGREES
from ..avatar.take import ROTATIONS, Channel, Take
from ..errors import ArgumentError
from ..head import ARKIT_NAMES, pose_from_arkit
from ..head.rotation import axis_angle_to_matrix, matrix_to_euler
from .usd_read import UsdHead

_LOST = 1e-3  # metres or radians: what a take cannot hold, and is worth a word


def take_of(head: UsdHead, name: str) -> tuple[Take, list[str]]:
    """The take, and what of the animation it cannot hold, in words.

    Raises ``ArgumentError`` when the file animates nothing, or on parts of frames.
    """
    if not head.poses:
        raise ArgumentError("The file holds no animation of the head's rig.", remedy="Import the avatar alone.")
    times = np.array(head.times)
    if len(times) > 1 and not np.array_equal(times, times[0] + np.arange(len(times))):
        raise ArgumentError("The animation is not on whole frames in a row, which a take is.")
    model = head.avatar.head
    expression = np.stack([pose.expression for pose in head.poses]).astype(np.float64)
    channels = expression @ np.linalg.pinv(model.arkit_expression.astype(np.float64))
    turns = np.stack([axis_angle_to_matrix(pose.rotations) for pose in head.poses])
    own = np.stack([axis_angle_to_matrix(pose_from_arkit(model, row).rotations) for row in channels])
    extra = np.swapaxes(own, 2, 3) @ turns
    degrees = np.degrees(np.unwrap(matrix_to_euler(extra[:, [0, 1, 3, 4]]), axis=0))
    kept = {
        channel: Channel(times, channels[:, i].round(6))
        for i, channel in enumerate(ARKIT_NAMES)
        if np.abs(channels[:, i]).max() > REST
    }
    for i, channel in enumerate(ROTATIONS):
        if np.abs(degrees[:, i]).max() > REST_DEGREES:
            kept[channel] = Channel(times, degrees[:, i].round(5))
    lost = {
        "expressions other than the ARKit channels": np.abs(channels @ model.arkit_expression - expression).max(),
        "the jaw's own rotation": np.abs(extra[:, 2] - np.eye(3)).max(),
        "the root's movement": max(float(np.abs(pose.translation).max()) for pose in head.poses),
    }
    notes = [f"A take cannot hold {what}; it is left out." for what, size in lost.items() if size > _LOST]
    return Take(head.fps, len(times), kept, round(times[0]), name), notes
