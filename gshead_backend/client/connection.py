"""One connection to a backend, and what it is for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ..avatar import Avatar, avatar_from_bytes, avatar_to_bytes
from ..avatar.take import Take, take_from_json
from ..errors import FileFormatError
from ..protocol import Client, Endpoint
from ..protocol.launcher import Backend
from ..protocol.messages import Motion, Quality
from ..protocol.reaching import reach
from ..protocol.request import ProgressCallback
from .head import Head

COMMAND = (sys.executable, "-m", "gshead_backend.cli", "serve")
"""Starts a backend of the environment that this interpreter belongs to."""


class Connection:
    """A backend to work with; made by :func:`connect_or_start` or :func:`connect`. Safe to use from any thread.

    Use it with ``with``, or ``close`` it: a backend that was started for it ends when nobody else uses it.

    Attributes:
        client: the blocking client underneath (docs/protocol.md), for what is not wrapped here.
    """

    def __init__(self, client: Client, backend: Backend | None = None) -> None:
        self.client = client
        self._backend = backend

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the lease; heads of this connection cannot be rendered afterwards. May be called twice."""
        self.client.close()
        if self._backend is not None:
            self._backend.release()

    def reconstruct(
        self, portrait: str | Path | bytes, *, quality: Quality = "standard", name: str = "", method: str = "uvfit",
        model: str = "", on_progress: ProgressCallback | None = None, cancel: threading.Event | None = None,
        timeout: float | None = None,
    ) -> Head:  # fmt: skip
        """A portrait photo to a head; takes seconds to minutes.

        Args:
            portrait: path or bytes of an image file that shows one face from the front.
            quality: ``"draft"``, ``"standard"`` or ``"high"``: about 20, 60 or 150 thousand splats.
            name: of the head; the file's by default.
            model: the head model that it is made on, as installed on the backend's machine (``gshead head list``); the
                method's own when empty.
            on_progress: called in this thread with (fraction 0..1, text).
            cancel: set it from another thread to stop; ``Cancelled`` is raised then.
            timeout: seconds; None for as long as the backend lives.
        Raises:
            HeadError: the backend has no such head model. FileFormatError: the file cannot be read. PortraitError: no
                usable face. BackendError: it failed or died.
        """
        data = portrait if isinstance(portrait, bytes) else _read(Path(portrait))
        name = name or ("head" if isinstance(portrait, bytes) else Path(portrait).stem)
        summary = self.client.reconstruct(
            data, method=method, quality=quality, name=name, head=model, on_progress=on_progress, cancel=cancel,
            timeout=timeout,
        )  # fmt: skip
        return Head(self.client, summary.avatar_id, self.client.avatar_get(summary.avatar_id), summary.warnings)

    def load(self, path: str | Path) -> Head:
        """The head of a ``.gshead`` file. Raises ``FileFormatError`` or ``HeadError``."""
        return self.put(_read(Path(path)))

    def put(self, avatar: Avatar | bytes) -> Head:
        """The head of an avatar, or of ``.gshead`` bytes. Raises ``FileFormatError`` or ``HeadError``."""
        data = avatar if isinstance(avatar, bytes) else avatar_to_bytes(avatar)
        avatar_from_bytes(data)
        return Head(self.client, self.client.avatar_put(data), data)

    def track(
        self, clip: str | Path | bytes, *, name: str = "", fps: float = 0.0, smooth: float = 1.0,
        motion: Motion = "neck", center: bool = False, on_progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None, timeout: float | None = None,
    ) -> Take:  # fmt: skip
        """A video, or a folder of pictures, of a face to a take for any head.

        Args:
            fps: frames per second of the clip; 0 for a video's own. smooth: 0 to 5, 1 is usual; blinks stay.
            motion: whether the ``"neck"``, the whole ``"head"`` or ``"none"`` of them turns.
            center: take the middle head position for straight ahead. Others as :meth:`reconstruct`.
        Raises:
            FileFormatError: it cannot be read. NoFaceError: nobody is in it. BackendError: it failed or died.
        """
        name = name or ("take" if isinstance(clip, bytes) else Path(clip).stem)
        made = self.client.track(
            clip, name=name, fps=fps, smooth=smooth, motion=motion, center=center, on_progress=on_progress,
            cancel=cancel, timeout=timeout,
        )  # fmt: skip
        return take_from_json(made.text)


def connect_or_start(command: Sequence[str] = (), *, name: str = "script", timeout: float = 30.0) -> Connection:
    """The backend that this user already runs, the one Blender uses included, or a new one.

    Args:
        command: starts a backend, such as ``("/path/to/gshead", "serve", "--device", "cpu")``; by default the one
            installed beside this interpreter.
        name: shown in the backend's log. timeout: seconds until it must listen.
    Raises:
        BackendError: it cannot be started or reached; the message holds the end of its log.
    """
    client, backend = reach(command or COMMAND, name=name, timeout=timeout, start_timeout=timeout)
    return Connection(client, backend)


def connect(connection_file: str | Path, *, name: str = "script", timeout: float = 10.0) -> Connection:
    """A backend elsewhere, by the connection file that ``gshead serve`` wrote there; it holds keys, keep it private.

    Raises ``AuthenticationError``, ``BackendError`` or ``VersionError``.
    """
    return Connection(Client(Endpoint.read(Path(connection_file).expanduser()), name=name, timeout=timeout))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
