"""The threaded client: every call returns at once with a ``Request``; one I/O thread owns the sockets.

It can be used from any thread, which Blender needs: each frame of an animation is rendered on a thread of its own.
"""

from __future__ import annotations

import atexit
import itertools
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ..errors import ArgumentError, BackendError, GsheadError, UnsupportedError, from_code
from . import answers
from . import messages as m
from .codec import readable
from .endpoint import Endpoint, check_address
from .frames import FrameReader
from .limits import check_camera, check_instances, check_size, check_track
from .loop import ClientLoop
from .pending import Convert, Pending
from .request import Request
from .streams import ClientStreams, Prepare
from .values import AvatarSummary, Frame, Instance, MadeAvatar, TrackedTake, pack_instances, read_clip

T = TypeVar("T")
_open_clients: weakref.WeakSet[ThreadedClient] = weakref.WeakSet()


class ThreadedClient:
    """Connects, says hello, then answers calls with ``Request`` objects.

    Args:
        endpoint: from ``Endpoint.read`` or ``launcher.connect_or_start``.
        name: shown in the backend's log.
        timeout: seconds for the connection and the hello.

    Raises:
        AuthenticationError, BackendDiedError, BackendTimeoutError, VersionError: why there is no connection.
    """

    def __init__(self, endpoint: Endpoint, *, name: str = "client", timeout: float = 10.0) -> None:
        check_address(endpoint)
        self.endpoint = endpoint
        self._ids = itertools.count(1)
        self._tokens = itertools.count(1)
        self._pending = Pending()
        self._frames = FrameReader(endpoint)
        self._streams = ClientStreams(self._frames, self._pending.check_alive)
        self._beat: tuple[float, m.Beat] | None = None
        self._limits = m.LimitsInfo()
        self._loop = ClientLoop(endpoint, self._on_message, self._on_death)
        try:
            hello = m.Hello(client=name[:120], package=_package_version(), codecs=readable())
            self.hello: m.HelloReply = self._ask(hello, (), answers.hello).wait(timeout)
        except BaseException:
            self._loop.close()
            raise
        self._limits = self.hello.limits
        _open_clients.add(self)

    def __enter__(self) -> ThreadedClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """The connection stands. Once False it stays so: make a new client."""
        return self._pending.death is None

    @property
    def beat(self) -> m.Beat | None:
        """The latest news of the backend's workers, about a second old."""
        return self._beat[1] if self._beat else None

    @property
    def silence(self) -> float:
        """Seconds since the backend's front process was last heard of by a beat (0 before the first is due)."""
        return time.monotonic() - self._beat[0] if self._beat else 0.0

    def close(self) -> None:
        """Ends the lease, then the thread and the sockets. Requests under way end with ``BackendError``."""
        self._loop.close()
        _open_clients.discard(self)

    # --- requests -----------------------------------------------------------------------------------------------

    def reconstruct(
        self, portrait: bytes, *, method: str = "uvfit", quality: m.Quality = "standard", name: str = "head",
        preview: bool = False, head: str = "",
    ) -> Request[AvatarSummary]:  # fmt: skip
        """Portrait file bytes to an avatar; ``Request.progress`` tells how far it is, ``.preview`` shows it early.

        ``head``: one of ``hello.heads``, "" for the method's own. Raises ``UnsupportedError`` when an older backend is
        asked for one.
        """
        self._check_head(head)
        check_size(len(portrait), self._limits.portrait_bytes, "The portrait")
        message = m.Reconstruct(method=method, quality=quality, name=name[:120] or "head", preview=preview, head=head)
        return self._ask(message, (portrait,), answers.reconstructed)

    def batch_make(
        self, portrait: bytes, *, method: str = "uvfit", quality: m.Quality = "standard", name: str = "head",
        seed: int = 0, splats: int = 0, head: str = "",
    ) -> Request[MadeAvatar]:  # fmt: skip
        """One portrait of many to the backend's pool; as many as ``limits.batch`` may be under way.

        Raises ``UnsupportedError`` when the backend has no pool.
        """
        if "pool" not in self.hello.features:
            raise UnsupportedError("That backend has no pool.", remedy="Start it with 'gshead serve --pool local:2'.")
        check_size(len(portrait), self._limits.portrait_bytes, "The portrait")
        self._check_head(head)
        message = m.BatchMake(
            method=method, quality=quality, name=name[:120] or "head", seed=seed, splats=splats, head=head
        )
        return self._ask(message, (portrait,), answers.made)

    def _check_head(self, head: str) -> None:
        if head and "heads" not in self.hello.features:
            raise UnsupportedError(
                f"That backend is too old to be asked for the head model '{head}'.", remedy="Update it to this version."
            )

    def track(
        self, clip: str | Path | bytes, *, name: str = "take", fps: float = 0.0, smooth: float = 1.0,
        motion: m.Motion = "neck", center: bool = False,
    ) -> Request[TrackedTake]:  # fmt: skip
        """A clip of a face to a take.

        A backend on this machine opens the file itself; another one is sent the bytes of a video.

        Args:
            clip: path of a video or of a folder of pictures, or a video file's bytes. fps: 0 for the clip's own.
            smooth, motion, center: as for ``gshead track``.
        Raises:
            FileFormatError: it cannot be read. ArgumentError: a folder cannot be sent. LimitError: too large to send.
        """
        path = ""
        if not isinstance(clip, bytes):
            path = str(Path(clip).absolute()) if self.endpoint.local and "track.path" in self.hello.features else ""
            clip = b"" if path else read_clip(clip, self._limits.clip_bytes)
        message = m.Track(path=path, name=name[:120] or "take", fps=fps, smooth=smooth, motion=motion, center=center)
        parts = () if path else (clip,)
        check_track(message, [len(part) for part in parts], self._limits)
        return self._ask(message, parts, answers.tracked)

    def avatar_put(self, data: bytes) -> Request[AvatarSummary]:
        """``.gshead`` bytes to the backend."""
        check_size(len(data), self._limits.avatar_bytes, "The avatar")
        return self._ask(m.AvatarPut(), (data,), answers.stored)

    def avatar_get(self, avatar_id: str) -> Request[bytes]:
        """The ``.gshead`` bytes; their hash is checked."""
        return self._ask(m.AvatarGet(avatar_id=avatar_id), (), answers.data)

    def avatar_drop(self, avatar_id: str) -> Request[None]:
        """This client no longer needs the avatar."""
        return self._ask(m.AvatarDrop(avatar_id=avatar_id), (), answers.nothing)

    def render(
        self, camera: m.CameraSpec, instances: Sequence[Instance], *, dtype: m.Dtype = "float32", depth: bool = True
    ) -> Request[Frame]:
        """One exact frame; frames of one client are answered in the order they were asked for."""
        specs, parts = self._checked(camera, instances)
        message = m.RenderFrame(
            camera=camera, instances=specs, dtype=dtype, depth=depth, ring=self.endpoint.local
        )  # fmt: skip
        return self._ask(message, parts, self._frame)

    def stream_open(
        self, *, dtype: m.Dtype = "uint8", depth: bool = False, prepare: Prepare | None = None
    ) -> Request[int]:
        """Opens a newest-wins stream.

        ``prepare`` turns each frame into ``Frame.prepared`` on the I/O thread, so that whoever draws it need not; it
        must be quick and must not raise.
        """

        def opened(message: m.StreamOpened, parts: list[memoryview]) -> int:
            self._streams.add(message.stream, prepare)
            return message.stream

        return self._ask(m.StreamOpen(dtype=dtype, depth=depth, ring=self.endpoint.local), (), opened)

    def stream_update(
        self, stream: int, camera: m.CameraSpec, instances: Sequence[Instance], *, scale: float = 1.0, splats: int = 0,
        lossy: bool = False,
    ) -> int:  # fmt: skip
        """Wishes for a new frame and returns its token; an older wish that has not started is forgotten.

        ``splats``: about how many a head may have, 0 for all; the backend takes the next level of detail.
        ``lossy``: something moves; over a slow line the frame may come as a JPEG.
        """
        if not 0.05 <= scale <= 1.0:
            raise ArgumentError(f"The scale of a stream must be within 0.05..1, got {scale}.")
        if splats < 0:
            raise ArgumentError(f"A head cannot have {splats} splats.")
        specs, parts = self._checked(camera, instances)
        self._streams.check(stream)
        token = next(self._tokens)
        message = m.StreamUpdate(
            stream=stream, token=token, camera=camera, instances=specs, scale=float(scale), splats=int(splats),
            lossy=bool(lossy),
        )  # fmt: skip
        self._tell(message, parts)
        return token

    def stream_latest(self, stream: int, *, newer_than: int = 0, timeout: float = 0.0) -> Frame | None:
        """The newest frame with ``token > newer_than``; waits up to ``timeout`` seconds. Raises the stream's error."""
        return self._streams.latest(stream, newer_than, timeout)

    def stream_close(self, stream: int) -> Request[None]:
        """Closes a stream."""
        self._streams.remove(stream)
        return self._ask(m.StreamClose(stream=stream), (), answers.nothing)

    def restart_worker(self, role: str = "render") -> Request[None]:
        """Kills and restarts the ``render`` or ``jobs`` worker, for one that hangs."""
        return self._ask(m.RestartWorker(role="jobs" if role == "jobs" else "render"), (), answers.nothing)

    def status(self) -> Request[m.StatusReply]:
        """What the backend is doing: sessions, jobs, memory, frames a second."""
        return self._ask(m.Status(), (), answers.status)

    def shutdown(self, *, force: bool = False) -> Request[None]:
        """Asks the backend to end: when no other client holds a lease, or at once with ``force``."""
        return self._ask(m.Shutdown(force=force), (), answers.nothing)

    # --- sending ------------------------------------------------------------------------------------------------

    def _checked(self, camera: m.CameraSpec, instances: Sequence[Instance]) -> tuple[list[m.InstanceSpec], list[bytes]]:
        check_camera(camera, self._limits)
        specs, parts = pack_instances(instances)
        check_instances(specs, [len(part) for part in parts], self._limits)
        return specs, parts

    def _ask(self, message: m.Message, parts: Sequence[Any], convert: Convert[T]) -> Request[T]:
        message.id = next(self._ids)
        kind = str(message.__struct_config__.tag)
        request: Request[T] = Request(message.id, kind, self._abort)
        self._pending.add(request, convert)
        self._loop.post(message, parts)
        return request

    def _tell(self, message: m.Message, parts: Sequence[Any] = ()) -> None:
        self._pending.check_alive()
        message.id = next(self._ids)
        self._loop.post(message, parts)

    def _abort(self, request_id: int) -> None:
        if request_id in self._pending:
            self._tell(m.Cancel(job=request_id))

    # --- called by the I/O thread -------------------------------------------------------------------------------

    def _on_message(self, message: m.Message, parts: list[memoryview]) -> None:
        if isinstance(message, m.Beat):
            self._beat = (time.monotonic(), message)
        elif isinstance(message, m.StreamFrame):
            self._streams.take(message, parts)
            self._loop.post(m.StreamAck(stream=message.stream, token=message.token))
        elif isinstance(message, m.Error) and message.stream >= 0:
            self._streams.fail(message.stream, from_code(message.code, message.message, message.remedy))
        elif message.parent is not None:
            self._pending.take(message.parent, message, parts)
        elif isinstance(message, m.Error):
            raise from_code(message.code, message.message, message.remedy)

    def _frame(self, message: m.FrameReply, parts: list[memoryview]) -> Frame:
        try:
            return self._frames.decode(message.frame, message.ring, parts)
        finally:
            if message.ring is not None:
                r = message.ring
                self._loop.post(m.RingRelease(path=r.path, slot=r.slot, sequence=r.sequence))

    def _on_death(self, error: GsheadError) -> None:
        self._pending.fail(error)
        self._streams.wake()
        self._frames.close()


def _package_version() -> str:
    from .. import __version__

    return __version__


def _close_all() -> None:
    for client in list(_open_clients):
        try:
            client.close()
        except BackendError:
            continue


atexit.register(_close_all)
