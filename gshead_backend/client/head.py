"""A head that a backend holds: posed by names, rendered to arrays."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..avatar import Avatar, Take, avatar_from_bytes
from ..avatar.framing import portrait_camera
from ..avatar.light import checked_light
from ..avatar.shading import only_photo_light
from ..avatar.take_table import take_from_table
from ..camera import Camera
from ..errors import ArgumentError, Cancelled
from ..files import write_atomic
from ..head import HeadPose
from ..protocol import Client, Frame, Instance, camera_spec
from ..protocol.messages import CameraSpec, Dtype
from ..protocol.request import ProgressCallback, Request

AHEAD = 4
"""Frames of a take that are asked for before the first is taken: the backend never waits for the script."""


class Head:
    """One avatar on one backend; made by a :class:`Connection`.

    Attributes:
        avatar_id: sha256 of ``data``. data: the ``.gshead`` bytes.
        warnings: what the reconstruction had to say; empty for a head that was loaded.
    """

    def __init__(self, client: Client, avatar_id: str, data: bytes, warnings: tuple[str, ...] = ()) -> None:
        self.avatar_id, self.data, self.warnings = avatar_id, data, warnings
        self._client = client

    @cached_property
    def avatar(self) -> Avatar:
        """Splats and head model (docs/avatar.md), for one's own mathematics."""
        return avatar_from_bytes(self.data)

    @property
    def name(self) -> str:
        """The avatar's name."""
        return self.avatar.name

    def save(self, path: str | Path) -> int:
        """Write the ``.gshead`` file (atomically); returns its size in bytes. Raises ``ExportError``."""
        write_atomic(Path(path), self.data)
        return len(self.data)

    def drop(self) -> None:
        """Let the backend forget this head; it cannot be rendered afterwards."""
        self._client.avatar_drop(self.avatar_id)

    def pose(self, channels: Mapping[str, Any] | None = None) -> HeadPose:
        """A pose from ARKit channels (0 rest, 1 full) and rotations (three angles in degrees), by the names of takes.

        Raises ``ArgumentError`` for an unknown name, a wrong shape or a value out of range.
        """
        if not channels:
            return HeadPose.neutral(self.avatar.head.expression_count)
        return take_from_table({name: [value] for name, value in channels.items()}, fps=24).pose(self.avatar.head, 1)

    def camera(self, size: tuple[int, int] = (512, 512), *, yaw: float = 0.0, pitch: float = 0.0) -> Camera:
        """A camera that frames the head.

        Args:
            size: (width, height) pixels. yaw, pitch: degrees around the head; positive moves the camera to the
                person's left, and up.
        """
        return portrait_camera(self.avatar, size, yaw, pitch)

    def render(
        self, channels: Mapping[str, Any] | None = None, *, pose: HeadPose | None = None, camera: Camera | None = None,
        size: tuple[int, int] = (512, 512), yaw: float = 0.0, pitch: float = 0.0, dtype: Dtype = "float32",
        depth: bool = False, light: np.ndarray | None = None, light_strength: float = 1.0,
        timeout: float | None = 600.0,
    ) -> Frame:  # fmt: skip
        """One exact frame.

        Args:
            channels: as :meth:`pose`. pose: instead of them, a complete pose.
            camera: OpenCV axes in head space, metres; otherwise :meth:`camera` of ``size``, ``yaw`` and ``pitch``.
            dtype: ``"float32"`` or ``"float16"`` for scene-linear, ``"uint8"`` for sRGB-encoded pixels.
            depth: also metres along the view axis.
            light: (9, 3) radiance as spherical harmonics, from ``gshead_backend.avatar.light`` (``lamp(yaw, pitch)``);
                the photo's own light by default. light_strength: 0 the photo's light .. 1 ``light``.
        Returns:
            ``Frame``: ``rgba`` (H, W, 4) premultiplied, row 0 on top, and ``depth`` (H, W) or None.
        Raises:
            ArgumentError: as :meth:`pose`, or a light that is none. BackendError: the backend died.
            RenderError: it could not draw. UnsupportedError: a light for a head that a network draws.
        """
        if pose is not None and channels:
            raise ArgumentError("A pose and channels were both given.", remedy="Give one of them.")
        camera = camera or self.camera(size, yaw=yaw, pitch=pitch)
        lit = self._lit(light, light_strength)
        return self._ask(_spec(camera), pose or self.pose(channels), dtype, depth, lit).wait(timeout)

    def render_take(
        self, take: Take, *, frames: Iterable[float] | None = None, camera: Camera | None = None,
        size: tuple[int, int] = (512, 512), yaw: float = 0.0, pitch: float = 0.0, dtype: Dtype = "float32",
        depth: bool = False, light: np.ndarray | None = None, light_strength: float = 1.0,
        on_progress: ProgressCallback | None = None, cancel: threading.Event | None = None,
        timeout: float | None = 600.0,
    ) -> Iterator[tuple[float, Frame]]:  # fmt: skip
        """Frames of a take one after the other, as (frame number, frame); ask for the next when you have used one.

        Args:
            frames: numbers on the take's timeline, fractions allowed; all whole ones by default.
            on_progress: called with (fraction, text) after each. cancel: set it to end with ``Cancelled``.
            Others as :meth:`render`.
        """
        numbers = list(take.frames if frames is None else frames)
        lit = self._lit(light, light_strength)
        spec = _spec(camera or self.camera(size, yaw=yaw, pitch=pitch))
        waiting: deque[tuple[float, Request[Frame]]] = deque()
        left, done = iter(numbers), 0
        try:
            while done < len(numbers):
                while len(waiting) < AHEAD and (number := next(left, None)) is not None:
                    pose = take.pose(self.avatar.head, number)
                    waiting.append((number, self._ask(spec, pose, dtype, depth, lit)))
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"Rendering was stopped after {done} of {len(numbers)} frames.")
                number, request = waiting.popleft()
                frame = request.wait(timeout, cancel=cancel)
                done += 1
                if on_progress is not None:
                    on_progress(done / len(numbers), f"Frame {number:g}")
                yield number, frame
        finally:
            for _, request in waiting:
                request.cancel()

    def _lit(self, light: np.ndarray | None, strength: float) -> tuple[np.ndarray | None, float]:
        if light is None:
            return None, 1.0
        if self.avatar.portrait is not None:
            raise only_photo_light(self.name)
        return checked_light(light), strength

    def _ask(
        self, camera: CameraSpec, pose: HeadPose, dtype: Dtype, depth: bool, lit: tuple[np.ndarray | None, float]
    ) -> Request[Frame]:
        instance = Instance(
            self.avatar_id, np.eye(4), pose=pose.to_vector(), light=lit[0], light_strength=lit[1]
        )  # fmt: skip
        return self._client.threaded.render(camera, [instance], dtype=dtype, depth=depth)


def _spec(camera: Camera) -> CameraSpec:
    return camera_spec(
        camera.width, camera.height, camera.K, camera.viewmat, near=camera.near, far=camera.far,
        orthographic=camera.orthographic,
    )  # fmt: skip
