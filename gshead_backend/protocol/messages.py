"""Message types of the wire protocol: one msgspec Struct each, told apart by the ``type`` field of the JSON header.

``docs/protocol.md`` is the specification. Every message carries the protocol version, an id chosen by its sender,
the id it answers (``parent``) and the session given by ``hello.reply``. Extra fields are ignored, so minor versions
may add some. Ranges that do not depend on configured limits are part of the types; the rest is in ``limits``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PROTOCOL_VERSION = (1, 0)
"""(major, minor) of the protocol, apart from the package's version."""

Dtype = Literal["uint8", "float16", "float32"]
Quality = Literal["draft", "standard", "high"]
Motion = Literal["neck", "head", "none"]
WorkerState = Literal["starting", "warming", "ready", "busy", "hung", "failed", "stopped"]

Name = Annotated[str, Meta(min_length=1, max_length=120)]
AvatarId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Pixels = Annotated[int, Meta(ge=1, le=16384)]
Floats3x3 = Annotated[list[float], Meta(min_length=9, max_length=9)]
Floats4x4 = Annotated[list[float], Meta(min_length=16, max_length=16)]


# --- values inside messages ------------------------------------------------------------------------------------------


class CameraSpec(Struct, frozen=True):
    """A camera with OpenCV axes; the fields are those of ``gshead_backend.camera.Camera``, row-major."""

    width: Pixels
    height: Pixels
    K: Floats3x3
    viewmat: Floats4x4
    near: float = 0.01
    far: float = 1000.0
    orthographic: bool = False


class InstanceSpec(Struct, frozen=True):
    """One head in a frame: its avatar, where it stands and its ``pose``, ``vertices`` or both.

    ``matrix`` is row-major, head space to world. ``pose`` is ``HeadPose.to_vector()``. ``vertices`` is the index of
    the payload part that holds (V, 3) little-endian float32 dense vertices in head space, -1 for none.
    """

    avatar_id: AvatarId
    matrix: Floats4x4
    pose: Annotated[list[float], Meta(max_length=4096)] | None = None
    vertices: Annotated[int, Meta(ge=-1, le=4096)] = -1


class LimitsInfo(Struct, frozen=True):
    """What the backend accepts; announced in ``hello.reply``, checked before anything is allocated."""

    part_bytes: Count = 256 << 20
    parts: Count = 32
    header_bytes: Count = 1 << 20
    message_bytes: Count = 320 << 20
    portrait_bytes: Count = 64 << 20
    clip_bytes: Count = 256 << 20
    avatar_bytes: Count = 256 << 20
    avatars_bytes: Count = 2 << 30
    vertices: Count = 500_000
    splats: Count = 2_000_000
    frame_side: Count = 16384
    frame_pixels: Count = 7680 * 4320
    instances: Count = 16
    sessions: Count = 32
    queue: Count = 256
    jobs: Count = 8
    streams: Count = 16


class WorkerInfo(Struct, frozen=True):
    """How one worker process is. ``beat_age`` is the seconds since its loop last turned; ``pid`` is 0 when stopped."""

    role: str
    state: WorkerState
    device: str = ""
    pid: int = 0
    beat_age: float = 0.0
    restarts: int = 0
    message: str = ""


class RingRef(Struct, frozen=True):
    """Where a frame's bytes lie in a ring file: ``sequence`` must be the slot's before and after the copy."""

    path: str
    nonce: str
    slot: Annotated[int, Meta(ge=0, le=255)]
    sequence: Count
    sizes: Annotated[list[Count], Meta(max_length=8)]


class FrameInfo(Struct, frozen=True):
    """What the bytes of a frame are; see ``transfer`` for the conversions.

    ``parts`` names the arrays in order: ``rgba`` is (height, width, 4) of ``dtype``; ``depth`` is (height, width)
    float32. ``colorspace`` is ``linear-rec709`` (floats) or ``srgb`` (uint8: the sRGB encoding of the premultiplied
    linear value). ``alpha`` is always ``premultiplied`` and ``origin`` always ``top-left`` in version 1. ``codec`` says
    how the payload holds them: ``raw``, ``lz4`` or ``jpeg``, see ``codec``; in a ring they are always raw.
    """

    width: Pixels
    height: Pixels
    dtype: Dtype
    colorspace: str = "linear-rec709"
    alpha: str = "premultiplied"
    origin: str = "top-left"
    parts: list[str] = []
    seconds: float = 0.0
    codec: str = "raw"


# --- base ------------------------------------------------------------------------------------------------------------


class Message(Struct, kw_only=True, tag_field="type"):
    """Fields that every header has."""

    v: tuple[int, int] = PROTOCOL_VERSION
    id: Count = 0
    parent: Count | None = None
    session: Annotated[str, Meta(max_length=64)] = ""


# --- client to backend -----------------------------------------------------------------------------------------------


class Hello(Message, tag="hello"):
    """Opens a session (a lease). The only message that is allowed without one.

    ``codecs``: how frames that travel as payload may be packed, besides ``raw``.
    """

    client: Annotated[str, Meta(max_length=120)] = ""
    package: Annotated[str, Meta(max_length=60)] = ""
    codecs: Annotated[list[Annotated[str, Meta(max_length=20)]], Meta(max_length=16)] = []


class Goodbye(Message, tag="goodbye"):
    """Ends the session: its jobs are cancelled, its avatars, streams and ring released. Answered by ``done``."""


class Cancel(Message, tag="cancel"):
    """Stops the request whose id is ``job``. Answered by ``done``; the stopped request answers with GSH-E103."""

    job: Count


class Reconstruct(Message, tag="reconstruct"):
    """Payload: one part, the portrait file's bytes. Answered by ``progress``\\* then ``reconstructed``.

    With ``preview``, also by at most one ``preview``, when there is something to show before the longest part of it.
    """

    method: Name = "uvfit"
    quality: Quality = "standard"
    name: Name = "head"
    preview: bool = False


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


class Shutdown(Message, tag="shutdown"):
    """Ends the backend when no other session holds a lease, or at once with ``force``. Answered by ``done``."""

    force: bool = False


# --- backend to client -----------------------------------------------------------------------------------------------


class HelloReply(Message, tag="hello.reply"):
    """Answer to ``hello``. ``session`` (in the header) is the token to use from now on.

    ``boot_id`` changes with every start of the backend: a client that sees a new one puts its avatars again.
    """

    boot_id: str
    package: str
    pid: int
    limits: LimitsInfo
    methods: list[str]
    features: list[str]
    workers: list[WorkerInfo]
    beat_seconds: float = 1.0


class Done(Message, tag="done"):
    """The request was carried out and has nothing to say."""


class Error(Message, tag="error"):
    """The request failed. ``code`` is in docs/errors.md. With ``stream`` >= 0 it belongs to that stream's update."""

    code: str
    message: str
    remedy: str = ""
    stream: int = -1
    token: Count = 0


class Progress(Message, tag="progress"):
    """A running job is at ``fraction`` (0..1) and does what ``text`` says."""

    fraction: float
    text: str


class Preview(Message, tag="preview"):
    """A running reconstruction's head so far. Payload: one part, ``.gshead`` bytes of the final head's shape."""


class AvatarInfo(Struct, frozen=True):
    """What an avatar holds; shared by ``reconstructed`` and ``avatar.stored``."""

    avatar_id: AvatarId
    splats: Count
    vertices: Count
    expressions: Count
    name: str = ""
    method: str = ""


class Reconstructed(Message, tag="reconstructed"):
    """Answer to ``reconstruct``. ``seconds`` is the computing time; ``reused`` says that the result was known."""

    avatar: AvatarInfo
    warnings: list[str] = []
    seconds: float = 0.0
    reused: bool = False


class Tracked(Message, tag="tracked"):
    """Answer to ``track``. Payload: one part, the take as JSON. ``seconds`` is the computing time."""

    warnings: list[str] = []
    seconds: float = 0.0


class AvatarStored(Message, tag="avatar.stored"):
    """Answer to ``avatar.put``."""

    avatar: AvatarInfo


class AvatarData(Message, tag="avatar.data"):
    """Answer to ``avatar.get``. Payload: one part, the ``.gshead`` bytes."""

    avatar_id: AvatarId


class FrameReply(Message, tag="frame"):
    """Answer to ``frame.render``. Payload: ``frame.parts``, or nothing when ``ring`` says where they lie."""

    frame: FrameInfo
    ring: RingRef | None = None


class StreamOpened(Message, tag="stream.opened"):
    """Answer to ``stream.open``."""

    stream: Count


class StreamFrame(Message, tag="stream.frame"):
    """The newest frame of a stream. The next one comes after ``stream.ack``."""

    stream: Count
    token: Count
    frame: FrameInfo
    ring: RingRef | None = None


class Beat(Message, tag="beat"):
    """Sent to every session each ``beat_seconds``: the front process turns, and this is how its workers are."""

    workers: list[WorkerInfo]
    sessions: int = 0
    jobs: int = 0
    notice: str = ""


Request = (
    Hello | Goodbye | Cancel | Reconstruct | Track | AvatarPut | AvatarGet | AvatarDrop | RenderFrame | StreamOpen
    | StreamUpdate | StreamAck | StreamClose | RingRelease | RestartWorker | Shutdown
)  # fmt: skip
Reply = (
    HelloReply | Done | Error | Progress | Preview | Reconstructed | Tracked | AvatarStored | AvatarData | FrameReply
    | StreamOpened | StreamFrame | Beat
)  # fmt: skip
