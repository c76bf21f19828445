"""What a worker and its engine say to each other: shots in, pictures out, jobs done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..camera import Camera
from ..errors import ProtocolError
from ..head.pose import HeadPose
from ..protocol.limits import scaled
from ..protocol.messages import AvatarInfo, CameraSpec, Dtype, FrameInfo, Motion

Progress = Callable[[float, str], None]
Preview = Callable[[bytes], None]


@dataclass(frozen=True)
class HeadInstance:
    """One head of a frame, decoded: (4, 4) head space to world, and a pose, (V, 3) vertices, or both.

    With both, the vertices shape the head and the pose only drives pose-dependent appearance. ``light`` is (9, 3) in
    head space, None for the photo's; ``light_strength`` goes from that to it. ``shadow`` is (V, 3), what is left of it.
    """

    avatar_id: str
    matrix: np.ndarray
    pose: HeadPose | None
    vertices: np.ndarray | None
    light: np.ndarray | None = None
    light_strength: float = 1.0
    shadow: np.ndarray | None = None


@dataclass(frozen=True)
class Shot:
    """What a frame is to show.

    ``scale``: share of the camera's size. ``splats``: at most about so many a head, by its levels of detail; 0 for all.
    ``final``: the same shot must give the same bytes again, whatever is drawn beside it.
    """

    camera: CameraSpec
    heads: list[HeadInstance]
    dtype: Dtype
    depth: bool
    scale: float = 1.0
    splats: int = 0
    final: bool = False


Picture = tuple[FrameInfo, list[np.ndarray]]
"""A finished frame: (H, W, 4) of the shot's ``dtype`` and, where asked for, (H, W) float32 depth."""


@dataclass(frozen=True)
class Made:
    """A finished job: ``.gshead`` bytes of a reconstruction, a take's JSON of a tracking."""

    data: bytes
    warnings: tuple[str, ...]
    seconds: float


class EngineLike(Protocol):
    """What a worker needs from an engine; tests of the server bring a small one of their own."""

    device: str
    batch: int

    def attend(self, note: Callable[[str], None]) -> None: ...
    def warm_up(self, progress: Progress) -> None: ...
    def load(self, avatar_id: str, data: bytes, limit_splats: int) -> AvatarInfo: ...
    def unload(self, avatar_id: str) -> None: ...
    def draw(self, shots: Sequence[Shot], free: Callable[[], None]) -> AbstractContextManager[list[Picture]]: ...
    def reconstruct(
        self,
        portrait: bytes,
        method: str,
        quality: str,
        name: str,
        progress: Progress,
        preview: Preview,
        *,
        seed: int,
        splats: int,
        head: str,
    ) -> Made: ...
    def track(
        self,
        path: str,
        clip: bytes,
        progress: Progress,
        *,
        name: str,
        fps: float,
        smooth: float,
        motion: Motion,
        center: bool,
    ) -> Made: ...
    def free_memory(self) -> None: ...


def empty_frame(view: Camera, dtype: Dtype) -> list[np.ndarray]:
    """A frame that shows nothing, and its depth."""
    shape = (view.height, view.width)
    return [np.zeros((*shape, 4), dtype), np.full(shape, np.inf, np.float32)]


def frame_info(shot: Shot, view: Camera, seconds: float) -> FrameInfo:
    """What the header of a drawn shot says."""
    return FrameInfo(
        view.width, view.height, shot.dtype, "srgb" if shot.dtype == "uint8" else "linear-rec709",
        parts=["rgba", "depth"] if shot.depth else ["rgba"], seconds=seconds,
    )  # fmt: skip


def camera_of(spec: CameraSpec, scale: float) -> Camera:
    """A shot's camera, at ``scale`` of its size."""
    camera = Camera(
        spec.width, spec.height, np.array(spec.K).reshape(3, 3), np.array(spec.viewmat).reshape(4, 4), spec.near,
        spec.far, spec.orthographic,
    )  # fmt: skip
    return camera if scale == 1.0 else camera.resized(scaled(spec.width, scale), scaled(spec.height, scale))


def check_fit(head: HeadInstance, expressions: int, vertices: int) -> None:
    """Raise ``ProtocolError`` when pose or vertices were made for another head."""
    if head.pose is not None and head.pose.expression.size != expressions:
        raise ProtocolError(
            f"The pose has {head.pose.expression.size} expression values; this avatar's head has {expressions}."
        )
    if head.vertices is not None and head.vertices.shape[0] != vertices:
        raise ProtocolError(f"{head.vertices.shape[0]} vertices were sent; this avatar's head has {vertices}.")
    if head.shadow is not None and head.shadow.shape[0] != vertices:
        raise ProtocolError(
            f"The shadow of {head.shadow.shape[0]} vertices was sent; this avatar's head has {vertices}."
        )
