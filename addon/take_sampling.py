"""What a head does over a range of frames, as a take: read from what Blender evaluated, whatever drives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gshead_backend.avatar.recording import REST, REST_DEGREES
from gshead_backend.avatar.take import Channel, Take
from gshead_backend.errors import ArgumentError
from gshead_backend.head import ARKIT_NAMES
from gshead_backend.head.rotation import matrix_to_euler

from .rig.controls import ROTATION_BONES
from .rig.read_pose import find_rig, skinning_rotation
from .timeline import evaluated

LONGEST = 100_000


@dataclass(frozen=True)
class Sampled:
    """F frames of a head.

    Attributes:
        frames: whole scene frames. shapes: shape key name to (F,) evaluated values, without the basis.
        rotations: a take's rotation channel to (F, 3) degrees, Euler XYZ in head space, against the bone's parent.
    """

    frames: range
    shapes: dict[str, np.ndarray]
    rotations: dict[str, np.ndarray]

    def take(self, fps: float, name: str, *, every: bool = False) -> Take:
        """One key a frame. Channels at rest are left out unless ``every``."""
        times = np.array(self.frames, np.float64)
        channels = {
            name: Channel(times, self.shapes[name].round(6))
            for name in ARKIT_NAMES
            if name in self.shapes and (every or np.abs(self.shapes[name]).max() > REST)
        }
        for name_, degrees in self.rotations.items():
            if every or np.abs(degrees).max() > REST_DEGREES:
                channels[name_] = Channel(times, degrees.round(5))
        return Take(fps, len(times), channels, self.frames.start, name)


def sample(context: Any, mesh_object: Any, frames: range) -> Sampled:
    """Evaluate the scene at every frame and read the head; the current frame is put back afterwards.

    Raises ``ArgumentError`` for a range that is empty or too long, or a mesh without shape keys.
    """
    if not 1 <= len(frames) <= LONGEST:
        raise ArgumentError(
            f"The range {frames.start} to {frames.stop - 1} has {len(frames)} frames; 1 to {LONGEST} can be read.",
            remedy="Set the start and end frame.",
        )
    keys = mesh_object.data.shape_keys
    if keys is None:
        raise ArgumentError(f"'{mesh_object.name}' has no shape keys.", remedy="Load the head's .gshead file again.")
    rig = find_rig(mesh_object)
    names = [block.name for block in keys.key_blocks]
    shapes = np.zeros((len(frames), len(names)))
    turns = {channel: np.tile(np.eye(3), (len(frames), 1, 1)) for channel in ROTATION_BONES}
    for i, depsgraph in enumerate(evaluated(context, frames)):
        shapes[i] = shape_values(keys, depsgraph)
        if rig is not None:
            bones = rig.evaluated_get(depsgraph).pose.bones
            for channel, bone in ROTATION_BONES.items():
                if bone in bones:
                    turns[channel][i] = _local_rotation(bones[bone])
    rotations = {c: np.degrees(np.unwrap(matrix_to_euler(R), axis=0)) for c, R in turns.items()}
    return Sampled(frames, dict(zip(names[1:], shapes.T[1:], strict=True)), rotations)


def shape_values(keys: Any, depsgraph: Any) -> np.ndarray:
    """(K,) evaluated values of all shape keys, the basis first; 0 where one is muted."""
    blocks = keys.evaluated_get(depsgraph).key_blocks
    values, mute = np.empty(len(blocks), np.float32), np.empty(len(blocks), bool)
    blocks.foreach_get("value", values)
    blocks.foreach_get("mute", mute)
    return np.where(mute, 0.0, values)


def _local_rotation(bone: Any) -> np.ndarray:
    """(3, 3) in head space: what a posed bone turns against its posed parent."""
    own = skinning_rotation(bone)
    return own if bone.parent is None else skinning_rotation(bone.parent).T @ own
