"""A tiny engine for tests of the server: real processes and sockets, no mathematics.

An avatar is ``b"GS" + any bytes``; its frame is filled with the first byte of its id. A pose's first value commands:
0 nothing, 1 sleep 0.3 s, 2 end the process, 3 out of memory, 4 hang without a pulse, 5 an unexpected exception,
6 take 0.4 s to pack the frame, 7 noise that no codec makes small, 8 compute for ever without letting a thread run,
9 and 10 fail as CUDA does: an illegal access, a device that is gone; 11 take 0.05 s to draw.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

import numpy as np

from gshead_backend.errors import FileFormatError, LimitError, NoFaceError
from gshead_backend.protocol.limits import scaled
from gshead_backend.protocol.messages import AvatarInfo, FrameInfo
from gshead_backend.server.shots import Made

CUDA_FAILURES = {
    9: "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported",
    10: "CUDA error: unspecified launch failure (GPU is lost)",
}
"""As torch words them."""


class FakeEngine:
    def __init__(self, device: str) -> None:
        if device == "broken":
            raise RuntimeError("no such device")
        self.device = "fake"
        self.batch = int(os.environ.get("GSHEAD_FAKE_BATCH", "1"))
        self.avatars: dict[str, bytes] = {}

    def attend(self, note) -> None:
        self.note = note

    def warm_up(self, progress) -> None:
        progress(0.5, "warming")
        time.sleep(float(os.environ.get("GSHEAD_FAKE_WARMING", "0")))

    def load(self, avatar_id, data, limit_splats):
        if data[:5] == b"GSBIG":
            raise LimitError("too many splats")
        if data[:2] != b"GS":
            raise FileFormatError("not an avatar")
        if data[:6] == b"GSKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        self.avatars[avatar_id] = data
        return AvatarInfo(avatar_id, len(data), 10, 4, "fake", "fake")

    def unload(self, avatar_id) -> None:
        self.avatars.pop(avatar_id, None)

    def draw(self, shots, free):
        """A batch is told by its frames: each value is raised by ten times the number of frames drawn together - 1."""
        pictures = [self._draw(shot) for shot in shots]
        free()
        if any(head.pose and head.pose.expression[0] == 6 for shot in shots for head in shot.heads):
            time.sleep(0.4)
        for _, parts in pictures:
            parts[0] += np.asarray(10 * (len(shots) - 1), parts[0].dtype)
        return contextlib.nullcontext(pictures)

    def _draw(self, shot):
        camera, dtype, depth = shot.camera, shot.dtype, shot.depth
        width, height = scaled(camera.width, shot.scale), scaled(camera.height, shot.scale)
        value = 0
        for head in shot.heads:
            assert head.avatar_id in self.avatars, "not loaded"
            value = int(head.avatar_id[:2], 16)
            if head.vertices is not None:
                value = int(head.vertices[0, 0])
            else:
                value = self._obey(head.pose.expression, value)
        rgba = np.full((height, width, 4), value, dtype)
        if any(head.pose and head.pose.expression[0] == 7 for head in shot.heads):
            rgba = np.random.default_rng(1).integers(0, 256, rgba.shape).astype(dtype)
        parts = [rgba, np.full((height, width), 2.5, np.float32)] if depth else [rgba]
        info = FrameInfo(width, height, dtype, "srgb" if dtype == "uint8" else "linear-rec709")
        info = FrameInfo(width, height, dtype, info.colorspace, parts=["rgba", "depth"][: len(parts)], seconds=0.001)
        return info, parts

    def _obey(self, expression, value: int) -> int:
        command = int(expression[0])
        if command == 1:
            time.sleep(0.3)
        elif command == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        elif command == 3:
            raise MemoryError("no memory")
        elif command == 4:
            time.sleep(60)
        elif command == 5:
            raise ZeroDivisionError("secret internals")
        elif command == 11:
            time.sleep(0.05)
        elif command == 8:
            sum(range(10**13))
        elif command in CUDA_FAILURES:
            raise RuntimeError(CUDA_FAILURES[command])
        return int(expression[1]) if len(expression) > 1 and expression[1] else value

    def reconstruct(self, portrait, method, quality, name, progress, preview, *, seed=0, splats=0, head=""):
        if portrait == b"noface":
            raise NoFaceError("There is no face in the photo.")
        if portrait == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        steps = 200 if portrait.startswith(b"long") else 30 if portrait.startswith(b"medium") else 3
        for i in range(steps):
            if i == 1 and b"shows" in portrait:
                preview(b"GSpreview")
            if portrait == b"stubborn":
                time.sleep(60)
            if portrait == b"computes":
                sum(range(10**13))
            progress(i / steps, f"step {i}")
            time.sleep(0.05 if steps > 3 else 0.0)
        return Made(b"GS" + portrait + quality.encode() + name.encode() + head.encode(), ("a warning",), 0.5)

    def track(self, path, clip, progress, *, name, fps, smooth, motion, center):
        if clip == b"noface":
            raise NoFaceError("There is no face in the clip.")
        steps = 200 if "long" in path or clip.startswith(b"long") else 3
        for i in range(steps):
            progress(i / steps, f"step {i}")
            time.sleep(0.05 if steps > 3 else 0.0)
        text = f"{path}|{clip.decode()}|{name}|{fps:g}|{smooth:g}|{motion}|{center}"
        return Made(text.encode(), ("2 frames show no face",), 0.5)

    def free_memory(self) -> None:
        pass


class CalmEngine(FakeEngine):
    """Obeys no command: for tests that send poses of all kinds."""

    def load(self, avatar_id, data, limit_splats):
        return super().load(avatar_id, data.replace(b"GSKILL", b"GSkill"), limit_splats)

    def _obey(self, expression, value: int) -> int:
        return value

    def reconstruct(self, portrait, method, quality, name, progress, preview, *, seed=0, splats=0, head=""):
        return super().reconstruct(b"photo", method, quality, name, progress, preview)

    def track(self, path, clip, progress, **options):
        return super().track("", b"clip", progress, **options)
