"""Messages between the front process and its workers, on a socket that nobody else can reach.

Both sides are of one build, so there is no version; the framing is ``[msgpack header] [payload part …]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import zmq

from ..protocol.messages import AvatarInfo, CameraSpec, Dtype, FrameInfo, InstanceSpec, Motion


class LinkMessage(msgspec.Struct, kw_only=True, tag_field="type"):
    """``task`` is the front's number for what this is about; 0 for news."""

    task: int = 0


# --- front to worker -------------------------------------------------------------------------------------------------


class RingTarget(msgspec.Struct):
    """The ring slot that a frame is to be written to."""

    path: str
    nonce: str
    slot: int
    sequence: int


class Load(LinkMessage, tag="load"):
    """Payload: ``.gshead`` bytes. Answered by ``loaded`` or ``failed``."""

    avatar_id: str


class Unload(LinkMessage, tag="unload"):
    """Nobody holds the avatar any more. Not answered."""

    avatar_id: str


class Draw(LinkMessage, tag="draw"):
    """Payload: the vertices parts that the instances name. Answered by ``drawn`` or ``failed``."""

    camera: CameraSpec
    instances: list[InstanceSpec]
    dtype: Dtype
    depth: bool
    scale: float = 1.0
    splats: int = 0
    final: bool = False
    ring: RingTarget | None = None
    codec: str = "raw"
    quality: int = 0


class Work(LinkMessage, tag="work"):
    """Payload: the portrait. Answered by ``step``\\* and ``shown``, then ``made`` or ``failed``."""

    method: str
    quality: str
    name: str
    seed: int = 0
    splats: int = 0
    head: str = ""


class Follow(LinkMessage, tag="follow"):
    """Payload: a video's bytes, none with the path of a clip. Answered by ``step``\\*, then ``taken`` or ``failed``."""

    path: str
    name: str
    fps: float
    smooth: float
    motion: Motion
    center: bool


class Stop(LinkMessage, tag="stop"):
    """Cancel the ``work`` or ``follow`` with this ``task``. Not answered."""


# --- worker to front -------------------------------------------------------------------------------------------------


class Pulse(LinkMessage, tag="pulse"):
    """The worker's loop turns. ``state`` is ``warming`` (compiling: takes avatars, no frames) or ``ready``.

    ``batch``: so many ``draw`` it likes to be given at once.
    """

    state: str
    device: str = ""
    message: str = ""
    batch: int = 1


class Loaded(LinkMessage, tag="loaded"):
    """The avatar is in the worker's memory."""

    info: AvatarInfo


class Free(LinkMessage, tag="free"):
    """The device is done with a ``draw`` and everything before it; its pixels are being packed. The next may come."""


class Drawn(LinkMessage, tag="drawn"):
    """Payload: the frame's parts, or none when they were written to the ring slot."""

    frame: FrameInfo
    sizes: list[int]


class Step(LinkMessage, tag="step"):
    """Progress of a ``work`` or ``follow``."""

    fraction: float
    text: str


class Shown(LinkMessage, tag="shown"):
    """A ``work`` goes on, but has a head to show. Payload: ``.gshead`` bytes."""


class Made(LinkMessage, tag="made"):
    """Payload: ``.gshead`` bytes."""

    warnings: list[str]
    seconds: float


class Taken(LinkMessage, tag="taken"):
    """Payload: a take as JSON."""

    warnings: list[str]
    seconds: float


class Failed(LinkMessage, tag="failed"):
    """The task failed. ``fatal``: the worker ends itself because its device is no longer usable."""

    code: str
    message: str
    remedy: str = ""
    fatal: bool = False


ToWorker = Load | Unload | Draw | Work | Follow | Stop
ToFront = Pulse | Loaded | Free | Drawn | Step | Shown | Made | Taken | Failed

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(cast(Any, ToWorker))
_to_front: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(cast(Any, ToFront))


def send(socket: zmq.Socket[bytes], message: LinkMessage, parts: Sequence[Any] = ()) -> None:
    """Sends without waiting; large parts are not copied, so they must not change afterwards."""
    socket.send_multipart([_encoder.encode(message), *parts], zmq.NOBLOCK, copy=False)


def receive_in_worker(socket: zmq.Socket[bytes]) -> tuple[ToWorker, list[memoryview]]:
    """The next message from the front; raises ``zmq.Again`` when there is none."""
    frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
    return _to_worker.decode(frames[0].buffer), [frame.buffer for frame in frames[1:]]


def receive_in_front(socket: zmq.Socket[bytes]) -> tuple[ToFront, list[memoryview]]:
    """The next message from a worker; raises ``zmq.Again`` when there is none."""
    frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
    return _to_front.decode(frames[0].buffer), [frame.buffer for frame in frames[1:]]
