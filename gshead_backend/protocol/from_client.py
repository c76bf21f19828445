"""Messages of a client to the backend."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from .fields import AvatarId, CameraSpec, Count, Dtype, HeadName, InstanceSpec, Message, Motion, Name, Quality


class Hello(Message, tag="hello"):
    """Opens a session (a lease). The only message that is allowed without one.

    ``codecs``: how frames that travel as payload may be packed, besides ``raw``.
    """

    client: Annotated[str, Meta(max_length=120)] = ""
    package: Annotated[str, Meta(max_length=60)] = ""
    codecs: Annotated[list[Annotated[str, Meta(max_length=20)]], Meta(max_length=16)] = field(default_factory=list)


class Goodbye(Message, tag="goodbye"):
    """Ends the session: its jobs are cancelled, its avatars, streams and ring released. Answered by ``done``."""


class Cancel(Message, tag="cancel"):
    """Stops the request whose id is ``job``. Answered by ``done``; the stopped request answers with GSH-E103."""

    job: Count


class Reconstruct(Message, tag="reconstruct"):
    """Payload: one part, the portrait file's bytes. Answered by ``progress``\\* then ``reconstructed``.

    With ``preview``, also by at most one ``preview``, when there is something to show before the longest part of it.
    ``head`` is one of the backend's installed head models (``hello.reply`` names them), "" for the method's own.
    """

    method: Name = "uvfit"
    quality: Quality = "standard"
    name: Name = "head"
    preview: bool = False
    head: HeadName = ""


class BatchMake(Message, tag="batch.make"):
    """One portrait of many, for the workers of the backend's pool. Payload: one part, the portrait file's bytes.

    Only a backend that announces the feature ``pool`` takes it. The avatar comes back and is not kept: nothing of this
    meets the worker that draws frames. Answered by ``progress``\\* then ``batch.made``.
    """

    method: Name = "uvfit"
    quality: Quality = "standard"
    name: Name = "head"
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    splats: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    head: HeadName = ""


class Track(Message, tag="track"):
    """A face through a clip becomes a take. Payload: one part, a video file's bytes, or none with ``path``.

    ``path`` is absolute, on the backend's machine: a video file or a folder of pictures. Only a backend that announces
    the feature ``track.path`` takes it. Answered by ``progress``\\* then ``tracked``.
    """

    path: Annotated[str, Meta(max_length=4096)] = ""
    name: Name = "take"
    fps: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    smooth: Annotated[float, Meta(ge=0, le=5)] = 1.0
    motion: Motion = "neck"
    center: bool = False


class AvatarPut(Message, tag="avatar.put"):
    """Payload: one part, a ``.gshead`` file. Answered by ``avatar.stored``."""


class AvatarGet(Message, tag="avatar.get"):
    """Answered by ``avatar.data`` with one payload part."""

    avatar_id: AvatarId


class AvatarDrop(Message, tag="avatar.drop"):
    """This session no longer needs the avatar. Answered by ``done``."""

    avatar_id: AvatarId


class RenderFrame(Message, tag="frame.render"):
    """One exact frame; frames of a session are answered in order and never dropped. Payload: vertices parts."""

    camera: CameraSpec
    instances: list[InstanceSpec]
    dtype: Dtype = "float32"
    depth: bool = True
    ring: bool = False


class StreamOpen(Message, tag="stream.open"):
    """Opens a newest-wins stream, one per viewport. Answered by ``stream.opened``."""

    dtype: Dtype = "uint8"
    depth: bool = False
    ring: bool = False


class StreamUpdate(Message, tag="stream.update"):
    """The wish for a new frame; replaces one that has not started yet. Not answered directly.

    ``token`` comes back with the frame. ``scale`` shrinks width and height, ``splats`` is about how many a head may
    have (0: all): both for frames that must come soon because something moves. ``lossy``: something moves, so over a
    slow line the frame may come as a JPEG.
    """

    stream: Count
    token: Count
    camera: CameraSpec
    instances: list[InstanceSpec]
    scale: Annotated[float, Meta(ge=0.05, le=1.0)] = 1.0
    splats: Count = 0
    lossy: bool = False


class StreamAck(Message, tag="stream.ack"):
    """The client has taken the frame with this token: gives the stream its credit of one back. Not answered."""

    stream: Count
    token: Count


class StreamClose(Message, tag="stream.close"):
    """Answered by ``done``."""

    stream: Count


class RingRelease(Message, tag="ring.release"):
    """The client has copied this slot (of a ``frame``); it may be written again. Not answered."""

    path: str
    slot: Count
    sequence: Count


class RestartWorker(Message, tag="worker.restart"):
    """Kills and restarts a worker that hangs or has failed. Answered by ``done``."""

    role: Literal["render", "jobs"] = "render"


class Status(Message, tag="status"):
    """What the backend is doing. Answered by ``status.reply``."""


class Shutdown(Message, tag="shutdown"):
    """Ends the backend when no other session holds a lease, or at once with ``force``. Answered by ``done``."""

    force: bool = False
