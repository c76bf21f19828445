"""Checks of what a header and its payload ask for, made before anything is allocated.

Types already guarantee field presence, list lengths and simple ranges; here is what depends on the configured limits
or on several fields together: finite numbers, pixel counts, payload sizes and references between header and payload.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from ..errors import LimitError, ProtocolError
from .messages import CameraSpec, FrameInfo, InstanceSpec, LimitsInfo, Track

ITEM_BYTES = {"uint8": 1, "float16": 2, "float32": 4}
LARGEST = 1e9
"""Largest magnitude of any coordinate, matrix entry or pose value that a message may carry."""


BRIGHTEST = 1e6
"""Largest magnitude of a harmonic of a light; 3.5 lights white as white."""


def check_finite(values: Sequence[float], what: str, largest: float = LARGEST) -> None:
    """Raises ``ProtocolError`` when a value is NaN, infinite or absurdly large."""
    for value in values:
        if not math.isfinite(value) or abs(value) > largest:
            raise ProtocolError(f"{what} holds the value {value}, which is not finite or larger than {largest:g}.")


def check_camera(camera: CameraSpec, limits: LimitsInfo) -> None:
    """Raises ``LimitError`` for too many pixels and ``ProtocolError`` for a camera that cannot be."""
    if camera.width > limits.frame_side or camera.height > limits.frame_side:
        raise LimitError(f"A frame of {camera.width}x{camera.height} has a side over {limits.frame_side} pixels.")
    if camera.width * camera.height > limits.frame_pixels:
        raise LimitError(
            f"A frame of {camera.width}x{camera.height} has more than {limits.frame_pixels} pixels.",
            remedy="Render a smaller frame.",
        )
    check_finite(camera.K, "The camera's K")
    check_finite(camera.viewmat, "The camera's viewmat")
    check_finite((camera.near, camera.far), "The camera's clip range")
    if not 0 < camera.near < camera.far:
        raise ProtocolError(f"The clip range must satisfy 0 < near < far, got {camera.near}, {camera.far}.")
    if not (camera.K[0] > 0 and camera.K[4] > 0):
        raise ProtocolError(f"Focal lengths must be positive, got {camera.K[0]}, {camera.K[4]}.")
    if list(camera.K[6:]) != [0.0, 0.0, 1.0] or list(camera.viewmat[12:]) != [0.0, 0.0, 0.0, 1.0]:
        raise ProtocolError("The last rows of K and viewmat must be 0 0 1 and 0 0 0 1.")


def check_instances(instances: Sequence[InstanceSpec], part_sizes: Sequence[int], limits: LimitsInfo) -> None:
    """Checks matrices, poses, lights and that every payload part is the vertices or the shadow of one instance."""
    if len(instances) > limits.instances:
        raise LimitError(f"A frame has {len(instances)} heads; the limit is {limits.instances}.")
    used: list[int] = []
    for i, instance in enumerate(instances):
        check_finite(instance.matrix, f"The matrix of instance {i}")
        if list(instance.matrix[12:]) != [0.0, 0.0, 0.0, 1.0]:
            raise ProtocolError(f"The last row of instance {i}'s matrix must be 0 0 0 1.")
        if instance.pose is None and instance.vertices < 0:
            raise ProtocolError(f"Instance {i} has neither a pose nor vertices.")
        if instance.pose is not None:
            check_finite(instance.pose, f"The pose of instance {i}")
        if instance.light is not None:
            check_finite(instance.light, f"The light of instance {i}", BRIGHTEST)
        for part, what, kind in ((instance.vertices, "vertices", "float32"), (instance.shadow, "shadow", "float16")):
            if part >= 0:
                _check_rows(part_sizes, part, f"The {what} of instance {i}", kind, limits)
                used.append(part)
    if sorted(used) != list(range(len(part_sizes))):
        raise ProtocolError("Every payload part must be the vertices or the shadow of exactly one instance.")


def _check_rows(part_sizes: Sequence[int], part: int, what: str, kind: str, limits: LimitsInfo) -> None:
    if part >= len(part_sizes):
        raise ProtocolError(f"{what}: payload part {part} is not there.")
    rows, rest = divmod(part_sizes[part], 3 * ITEM_BYTES[kind])
    if rest:
        raise ProtocolError(f"{what}: {part_sizes[part]} bytes, which is not (V, 3) {kind}.")
    if rows > limits.vertices:
        raise LimitError(f"{what}: {rows} vertices; the limit is {limits.vertices}.")


def check_size(size: int, limit: int, what: str) -> None:
    """Raises ``ProtocolError`` for an empty payload, ``LimitError`` for one over ``limit`` bytes."""
    if size == 0:
        raise ProtocolError(f"{what} is empty (0 bytes).")
    if size > limit:
        raise LimitError(f"{what} has {size} bytes; the limit is {limit}.")


def check_track(message: Track, part_sizes: Sequence[int], limits: LimitsInfo) -> None:
    """Raises ``ProtocolError`` unless a clip comes as bytes or as an absolute path, ``LimitError`` when it is large."""
    if len(part_sizes) != (0 if message.path else 1):
        raise ProtocolError(f"'track' takes a path or one payload part, got {len(part_sizes)} parts beside the path.")
    if part_sizes:
        check_size(part_sizes[0], limits.clip_bytes, "The clip")
    elif "\0" in message.path or not (
        PurePosixPath(message.path).is_absolute() or PureWindowsPath(message.path).is_absolute()
    ):
        raise ProtocolError(f"The path of a clip must be absolute, got {message.path[:80]!r}.")
    if 0 < message.fps < 1:
        raise ProtocolError(f"A clip has 1 to 1000 frames per second, got {message.fps:g}.")


def frame_sizes(info: FrameInfo) -> list[int]:
    """Bytes of each part of a frame, in the order of ``info.parts``."""
    pixels = info.width * info.height
    sizes = {"rgba": pixels * 4 * ITEM_BYTES[info.dtype], "depth": pixels * 4}
    try:
        return [sizes[part] for part in info.parts]
    except KeyError as error:
        raise ProtocolError(f"A frame has an unknown part {error}.") from None


def camera_bytes(camera: CameraSpec, dtype: str, depth: bool, scale: float = 1.0) -> int:
    """Bytes of the frame that a camera asks for; what a ring slot must hold."""
    width, height = scaled(camera.width, scale), scaled(camera.height, scale)
    return width * height * (4 * ITEM_BYTES[dtype] + (4 if depth else 0))


def scaled(pixels: int, scale: float) -> int:
    """A side of the frame at ``scale``: rounded, at least one pixel."""
    return max(1, round(pixels * scale))
