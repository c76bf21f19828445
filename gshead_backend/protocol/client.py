"""The blocking client: each call returns when the backend has answered, or raises within a second of its death."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from .endpoint import Endpoint
from .messages import CameraSpec, Dtype, HelloReply, Motion, Quality, StatusReply
from .request import ProgressCallback
from .threaded import ThreadedClient
from .values import AvatarSummary, Frame, Instance, TrackedTake


class Client:
    """Talks to one backend. Safe to call from any thread; close it (or use ``with``) to release the lease.

    All calls raise ``GsheadError`` subclasses: what the backend answered, ``BackendDiedError`` when its process or
    the connection ended, ``BackendTimeoutError`` when ``timeout`` seconds passed.
    """

    def __init__(self, endpoint: Endpoint, *, name: str = "client", timeout: float = 10.0) -> None:
        self.threaded = ThreadedClient(endpoint, name=name, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """The connection stands; once False, make a new client."""
        return self.threaded.alive

    def close(self) -> None:
        """Ends the lease and frees sockets and threads; may be called twice."""
        self.threaded.close()

    def hello(self) -> HelloReply:
        """What the backend said when this client connected: boot id, limits, methods, features, workers."""
        return self.threaded.hello

    def status(self, *, timeout: float | None = 10.0) -> StatusReply:
        """What the backend is doing now: sessions, jobs, memory, frames a second."""
        return self.threaded.status().wait(timeout)

    def reconstruct(
        self, portrait: bytes, *, method: str = "uvfit", quality: Quality = "standard", name: str = "head",
        head: str = "", on_progress: ProgressCallback | None = None,
        on_preview: Callable[[bytes], None] | None = None, cancel: threading.Event | None = None,
        timeout: float | None = None,
    ) -> AvatarSummary:  # fmt: skip
        """Portrait bytes to an avatar held by the backend.

        Args:
            head: one of ``hello().heads``, the backend's installed head models; "" for the method's own.
            on_progress: called in this thread with (fraction, text).
            on_preview: called in this thread, at most once, with the ``.gshead`` bytes of the unfinished head: of the
                final one's shape, with splats that still wait for the fit to the photo.
            cancel: set it from any thread to stop; the call then raises ``Cancelled``.
        """
        request = self.threaded.reconstruct(
            portrait, method=method, quality=quality, name=name, preview=on_preview is not None, head=head
        )
        return request.wait(timeout, on_progress=on_progress, on_preview=on_preview, cancel=cancel)

    def track(
        self, clip: str | Path | bytes, *, name: str = "take", fps: float = 0.0, smooth: float = 1.0,
        motion: Motion = "neck", center: bool = False, on_progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None, timeout: float | None = None,
    ) -> TrackedTake:  # fmt: skip
        """A clip of a face to a take; see ``ThreadedClient.track``. ``on_progress`` and ``cancel`` as above."""
        request = self.threaded.track(clip, name=name, fps=fps, smooth=smooth, motion=motion, center=center)
        return request.wait(timeout, on_progress=on_progress, cancel=cancel)

    def avatar_put(self, data: bytes, *, timeout: float | None = None) -> str:
        """Hands ``.gshead`` bytes to the backend; returns the avatar id (sha256 of the bytes)."""
        return self.threaded.avatar_put(data).wait(timeout).avatar_id

    def avatar_get(self, avatar_id: str, *, timeout: float | None = None) -> bytes:
        """The ``.gshead`` bytes of an avatar that this client holds."""
        return self.threaded.avatar_get(avatar_id).wait(timeout)

    def avatar_drop(self, avatar_id: str, *, timeout: float | None = None) -> None:
        """This client no longer needs the avatar."""
        self.threaded.avatar_drop(avatar_id).wait(timeout)

    def render(
        self, camera: CameraSpec, instances: Sequence[Instance], *, dtype: Dtype = "float32", depth: bool = True,
        timeout: float | None = None,
    ) -> Frame:  # fmt: skip
        """One exact frame; see ``Frame`` for what its values are."""
        return self.threaded.render(camera, instances, dtype=dtype, depth=depth).wait(timeout)

    def stream_open(self, *, dtype: Dtype = "uint8", depth: bool = False, timeout: float | None = 10.0) -> int:
        """Opens a newest-wins stream and returns its number."""
        return self.threaded.stream_open(dtype=dtype, depth=depth).wait(timeout)

    def stream_update(
        self, stream: int, camera: CameraSpec, instances: Sequence[Instance], *, scale: float = 1.0, splats: int = 0,
        lossy: bool = False,
    ) -> int:  # fmt: skip
        """Asks for a new frame at once without waiting; returns the token its frame will carry."""
        return self.threaded.stream_update(stream, camera, instances, scale=scale, splats=splats, lossy=lossy)

    def stream_latest(self, stream: int, *, newer_than: int = 0, timeout: float = 0.0) -> Frame | None:
        """The newest frame with ``token > newer_than``, waiting up to ``timeout`` seconds; None when there is none."""
        return self.threaded.stream_latest(stream, newer_than=newer_than, timeout=timeout)

    def stream_close(self, stream: int, *, timeout: float | None = 10.0) -> None:
        """Closes the stream; later frames are discarded."""
        self.threaded.stream_close(stream).wait(timeout)

    def restart_worker(self, role: str = "render", *, timeout: float | None = 10.0) -> None:
        """Kills and restarts the ``render`` or ``jobs`` worker: for one that hangs or stays down."""
        self.threaded.restart_worker(role).wait(timeout)

    def shutdown(self, *, force: bool = False, timeout: float | None = 10.0) -> None:
        """Asks the backend to end: only when no other client holds a lease, unless ``force``."""
        self.threaded.shutdown(force=force).wait(timeout)
