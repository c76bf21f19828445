"""The add-on's one connection to a backend. No bpy here.

Any thread may use it: Blender renders every frame of an animation on a new thread, the viewport lives on the main
one. The client underneath has one I/O thread that owns the sockets. A connection that broke is replaced at the next
use, and avatars are handed over again because the new one does not know them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gshead_backend import protocol  # its names load pyzmq and msgspec when they are first used
from gshead_backend.camera import Camera
from gshead_backend.errors import BackendError, GsheadError

from .uploads import Uploads

if TYPE_CHECKING:
    from gshead_backend.protocol import CameraSpec, Client, Frame, Instance
    from gshead_backend.protocol.launcher import Backend
    from gshead_backend.protocol.values import TrackedTake

OFFLINE, STARTING, READY, LOST = "offline", "starting", "ready", "lost"
UPLOAD_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """Where the backend is; from the preferences or the environment, never from a .blend file.

    Attributes:
        command: argument list that starts a backend on this machine, e.g. ``("gshead", "serve")``.
        connection_file: of a remote backend; replaces ``command``.
        start_when_needed: rendering may start the backend.
        online: Blender's online access; a backend on another machine needs it.
    """

    command: tuple[str, ...] = ("gshead", "serve")
    connection_file: str = ""
    start_when_needed: bool = True
    online: bool = False


class Session:
    """Owns the client, and with it what its backend was given (``uploads``)."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.last_error = ""
        self.notice = ""
        self.kept_off = False  # the user pressed Stop: a viewport alone does not start it again
        self._client: Client | None = None
        self._uploads: Uploads | None = None  # of ``_client``
        self._lock = threading.RLock()  # guards what is below; never held while waiting for a backend
        self._connect_lock = threading.Lock()  # one connection is made at a time
        self._stops = 0
        self._backend: Backend | None = None
        self._connecting: threading.Thread | None = None

    # --- connection -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``offline``, ``starting``, ``ready`` or ``lost``; never waits."""
        connecting, client = self._connecting, self._client
        if connecting is not None and connecting.is_alive():
            return STARTING
        if client is None:
            return OFFLINE
        return READY if client.alive else LOST

    def current(self) -> Client | None:
        """The living client, or None; never waits."""
        client = self._client
        return client if client is not None and client.alive else None

    def client(self, *, start: bool | None = None) -> Client:
        """A living client, connected or started now if need be. Raises ``BackendError`` and its subclasses."""
        with self._connect_lock:
            with self._lock:
                client = self.current()
                if client is not None:
                    return client
                lost, stops = self._client is not None, self._stops
                self._drop()
            if not (self.settings.start_when_needed if start is None else start):
                raise BackendError("The backend is not running.", remedy="Press Start Backend in the sidebar.")
            try:
                client, backend = self._connect()
            except GsheadError as error:
                if stops == self._stops:
                    self.last_error = str(error)
                raise
            with self._lock:
                self._client, self._backend, self._uploads = client, backend, Uploads(client)
                if stops != self._stops:
                    self._drop()
                    raise BackendError("The backend was stopped while it started.")
            self.last_error, self.kept_off = "", False
            if lost:
                self.notice = "The backend had ended; it was started again."
            return client

    def connect_in_background(self) -> None:
        """Start or find the backend on a thread of its own; watch ``state``."""
        if self.current() is not None or self.state == STARTING:
            return

        def work() -> None:
            with contextlib.suppress(GsheadError):
                self.client(start=True)

        self._connecting = threading.Thread(target=work, name="gshead-connect", daemon=True)
        self._connecting.start()

    def take_notice(self) -> str:
        """What the user should hear about the connection, once."""
        notice, self.notice = self.notice, ""
        return notice

    def stop(self) -> None:
        """End this Blender's lease: a backend that no one else uses ends by itself. Quick, and safe to repeat.

        One that is just being started is let go as soon as it answers.
        """
        with self._lock:
            self._stops += 1
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        backend, self._backend = self._backend, None
        self._uploads = None
        if client is not None:
            with contextlib.suppress(GsheadError, OSError):
                client.close()
        if backend is not None:
            backend.release()

    def _connect(self) -> tuple[Client, Backend | None]:
        settings = self.settings
        if not settings.connection_file:
            return protocol.reach(settings.command, name="blender")
        endpoint = protocol.Endpoint.read(Path(settings.connection_file).expanduser())
        if not endpoint.local and not settings.online:
            raise BackendError(
                f"The backend {endpoint.address} is on another machine and Blender's online access is off.",
                remedy="Allow online access in Preferences, System, Network.",
            )
        return protocol.Client(endpoint, name="blender"), None

    # --- avatars --------------------------------------------------------------------------------------------------

    def uploads(self, client: Client) -> Uploads:
        """What a client's backend holds."""
        with self._lock:
            return self._uploads if self._uploads is not None and client is self._client else Uploads(client)

    def hand_over(self, client: Client, avatars: dict[str, bytes]) -> None:
        """Give the backend the avatars it does not hold yet; blocks. Raises ``GsheadError``."""
        for avatar_id, data in avatars.items():
            self.uploads(client).wait(avatar_id, data, UPLOAD_SECONDS)

    def prune(self, wanted: set[str]) -> None:
        """Let the backend forget avatars that no head uses any more; never waits."""
        client = self.current()
        if client is not None:
            self.uploads(client).prune(wanted)

    # --- work -----------------------------------------------------------------------------------------------------

    def render(
        self, camera: Camera, heads: Sequence[tuple[Instance, bytes]], *, cancelled: Callable[[], bool] = bool,
        timeout: float = 600.0,
    ) -> Frame:  # fmt: skip
        """One exact frame of ``heads`` (instance and its avatar's bytes).

        Args:
            cancelled: asked often; when it says True the frame is given up and ``Cancelled`` raised.
        """
        client = self.client()
        self.hand_over(client, {instance.avatar_id: data for instance, data in heads})
        request = client.threaded.render(spec(camera), [instance for instance, _ in heads], dtype="float32", depth=True)
        return request.wait(timeout, cancel=_Asked(cancelled))  # type: ignore[arg-type]

    def head_models(self) -> list[str]:
        """Names of the head models on the backend's machine; none while there is no connection."""
        client = self.current()
        return [] if client is None else list(client.hello().heads)

    def reconstruct(
        self, portrait: bytes, *, quality: Any, name: str, method: str = "uvfit", head: str = "",
        on_progress: Callable[[float, str], None] | None = None, on_preview: Callable[[bytes], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[Any, bytes]:  # fmt: skip
        """Portrait bytes to (summary, ``.gshead`` bytes); blocks. Raises ``GsheadError``."""
        client = self.client(start=True)
        summary = client.reconstruct(
            portrait, method=method, quality=quality, name=name, head=head, on_progress=on_progress,
            on_preview=on_preview, cancel=cancel,
        )  # fmt: skip
        data = client.avatar_get(summary.avatar_id, timeout=60)
        self.uploads(client).note(summary.avatar_id)
        return summary, data

    def track(
        self, clip: Path, *, name: str, fps: float = 0.0, smooth: float = 1.0, motion: Any = "neck",
        center: bool = False, on_progress: Callable[[float, str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> TrackedTake:  # fmt: skip
        """A video or folder of pictures to a take's text; blocks. Raises ``GsheadError``."""
        return self.client(start=True).track(
            clip, name=name, fps=fps, smooth=smooth, motion=motion, center=center, on_progress=on_progress,
            cancel=cancel,
        )  # fmt: skip


def spec(camera: Camera) -> CameraSpec:
    """The wire form of a camera."""
    return protocol.camera_spec(
        camera.width, camera.height, camera.K, camera.viewmat, near=camera.near, far=camera.far,
        orthographic=camera.orthographic,
    )  # fmt: skip


def instance(
    avatar_id: str, matrix: np.ndarray, pose: Any, vertices: np.ndarray | None, light: np.ndarray | None = None,
    light_strength: float = 1.0, shadow: np.ndarray | None = None,
) -> Instance:  # fmt: skip
    """One head to draw: by its pose, or by vertices when they are given; see ``protocol.Instance``."""
    place, lit = matrix.ravel().tolist(), {"light": light, "light_strength": light_strength, "shadow": shadow}
    if vertices is None:
        return protocol.Instance(avatar_id, place, pose=pose.to_vector(), **lit)
    return protocol.Instance(avatar_id, place, vertices=vertices, **lit)


class _Asked:
    """Looks like a ``threading.Event`` that is set when a function says so."""

    def __init__(self, question: Callable[[], bool]) -> None:
        self.is_set = question
