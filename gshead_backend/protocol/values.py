"""What the clients take and give back: plain values with numpy arrays, made from and into wire messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, FileFormatError
from .limits import check_size
from .messages import AvatarInfo, BatchMade, CameraSpec, InstanceSpec, Reconstructed


@dataclass(frozen=True)
class Instance:
    """One head to draw: a pose, vertices, or both (the pose then drives only pose-dependent appearance).

    Attributes:
        avatar_id: from ``reconstruct`` or ``avatar_put``.
        matrix: 16 floats (or (4, 4)), row-major, head space to world.
        pose: ``HeadPose.to_vector()``: E + 18 values.
        vertices: (V, 3) float32 dense vertices in head space, when the rig mesh was deformed by something else.
        light: (9, 3) radiance in head space as ``avatar.light`` says; None for the photo's own.
        light_strength: 0 the photo's light .. 1 ``light``.
        shadow: (V, 3) 0..1, what the scene's shadows leave of each dense vertex' light; None for no shadows.
    """

    avatar_id: str
    matrix: Sequence[float] | np.ndarray
    pose: Sequence[float] | np.ndarray | None = None
    vertices: np.ndarray | None = None
    light: Sequence[float] | np.ndarray | None = None
    light_strength: float = 1.0
    shadow: np.ndarray | None = None


@dataclass(frozen=True)
class Frame:
    """A finished frame. ``rgba`` is (H, W, 4), row 0 on top, premultiplied; ``depth`` (H, W) float32 metres or None.

    ``float16`` and ``float32`` frames are scene-linear Rec.709; ``uint8`` frames are the sRGB encoding of the
    premultiplied linear value, so that an sRGB texture decodes to what a compositor expects.
    Depth is +inf where alpha is below 1/255. ``codec`` is how it travelled: only ``jpeg`` has lost anything.
    ``prepared`` is what the ``prepare`` of its stream made of it.
    """

    rgba: np.ndarray
    depth: np.ndarray | None
    colorspace: str
    alpha: str
    dtype: str
    origin: str
    seconds: float = 0.0
    token: int = 0
    codec: str = "raw"
    prepared: object = None


@dataclass(frozen=True)
class AvatarSummary:
    """What ``reconstruct`` made. ``seconds`` is computing time; ``reused`` when the backend knew the result."""

    avatar_id: str
    splats: int
    vertices: int
    expressions: int
    name: str
    method: str
    warnings: tuple[str, ...] = field(default=())
    seconds: float = 0.0
    reused: bool = False

    @classmethod
    def from_info(cls, info: AvatarInfo) -> AvatarSummary:
        """From the wire's avatar description."""
        return cls(info.avatar_id, info.splats, info.vertices, info.expressions, info.name, info.method)

    @classmethod
    def from_message(cls, message: Reconstructed) -> AvatarSummary:
        """From the answer to ``reconstruct``."""
        a = message.avatar
        return cls(
            a.avatar_id, a.splats, a.vertices, a.expressions, a.name, a.method,
            tuple(message.warnings), message.seconds, message.reused,
        )  # fmt: skip


@dataclass(frozen=True)
class MadeAvatar:
    """What a pool made of one portrait: ``.gshead`` bytes, unread. ``seconds`` is computing time on ``worker``.

    ``tries``: workers that were needed, 1 unless one ended in the middle of it.
    """

    data: bytes
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    worker: str = ""
    tries: int = 1

    @classmethod
    def from_message(cls, message: BatchMade, data: bytes) -> MadeAvatar:
        """From the answer to ``batch.make`` and its payload."""
        return cls(data, tuple(message.warnings), message.seconds, message.worker, message.tries)


@dataclass(frozen=True)
class TrackedTake:
    """What ``track`` made: a take's JSON text. ``warnings`` say what to look at; ``seconds`` is computing time."""

    text: str
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def floats(values: Sequence[float] | np.ndarray, size: int | None, what: str) -> list[float]:
    """``values`` flattened to a list of finite floats; raises ``ArgumentError`` naming ``what``."""
    array = np.asarray(values, np.float64).reshape(-1)
    if size is not None and array.size != size:
        raise ArgumentError(f"{what} must have {size} values, got {array.size}.")
    if not np.isfinite(array).all():
        raise ArgumentError(f"{what} holds NaN or infinity.")
    return array.tolist()


def camera_spec(
    width: int, height: int, K: np.ndarray, viewmat: np.ndarray, *, near: float = 0.01, far: float = 1000.0,
    orthographic: bool = False,
) -> CameraSpec:  # fmt: skip
    """A ``CameraSpec`` from arrays; ``K`` (3, 3), ``viewmat`` (4, 4) world to OpenCV camera."""
    return CameraSpec(
        int(width), int(height), floats(K, 9, "K"), floats(viewmat, 16, "viewmat"), float(near), float(far),
        bool(orthographic),
    )  # fmt: skip


def pack_instances(instances: Sequence[Instance]) -> tuple[list[InstanceSpec], list[bytes]]:
    """Wire form of the instances and the payload parts that hold their vertices and shadows."""
    specs: list[InstanceSpec] = []
    parts: list[bytes] = []
    for i, instance in enumerate(instances):
        if instance.pose is None and instance.vertices is None:
            raise ArgumentError(f"Instance {i} has neither a pose nor vertices.")
        matrix = floats(instance.matrix, 16, f"Instance {i} matrix")
        pose = None if instance.pose is None else floats(instance.pose, None, f"Instance {i} pose")
        light = None if instance.light is None else floats(instance.light, 27, f"Instance {i} light")
        strength = float(instance.light_strength)
        if not 0 <= strength <= 1:
            raise ArgumentError(f"Instance {i} light_strength lies in 0..1, not {strength}.")
        vertices = _rows(instance.vertices, "<f4", parts, f"Instance {i} vertices")
        if instance.shadow is not None and not ((instance.shadow >= 0) & (instance.shadow <= 1)).all():
            raise ArgumentError(f"Instance {i} shadow lies in 0..1.")
        shadow = _rows(instance.shadow, "<f2", parts, f"Instance {i} shadow")
        specs.append(InstanceSpec(instance.avatar_id, matrix, pose, vertices, light, strength, shadow))
    return specs, parts


def _rows(array: np.ndarray | None, kind: str, parts: list[bytes], what: str) -> int:
    """Append (V, 3) numbers to the payload; their place in it, -1 for None."""
    if array is None:
        return -1
    rows = np.ascontiguousarray(array, kind)
    if rows.ndim != 2 or rows.shape[1] != 3 or not np.isfinite(rows).all():
        raise ArgumentError(f"{what} must be finite (V, 3), got shape {rows.shape}.")
    parts.append(rows.tobytes())
    return len(parts) - 1


def read_clip(path: str | Path, limit: int) -> bytes:
    """The bytes of a video file of at most ``limit`` bytes, to be sent. Raises as ``ThreadedClient.track``."""
    path = Path(path)
    try:
        if path.is_dir():
            raise ArgumentError(
                f"'{path}' is a folder, and the backend is on another machine.",
                remedy="Make it a video file, or track it here with 'gshead track' and import the take.",
            )
        check_size(path.stat().st_size, limit, f"'{path}'")
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
