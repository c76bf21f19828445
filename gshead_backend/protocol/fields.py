"""What messages of the wire protocol are made of: the header that all have, and the values inside them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PROTOCOL_VERSION = (1, 2)
"""(major, minor) of the protocol, apart from the package's version."""

Dtype = Literal["uint8", "float16", "float32"]
Quality = Literal["draft", "standard", "high"]
Motion = Literal["neck", "head", "none"]
WorkerState = Literal["starting", "warming", "ready", "busy", "hung", "failed", "stopped"]

Name = Annotated[str, Meta(min_length=1, max_length=120)]
HeadName = Annotated[str, Meta(max_length=64, pattern="^([A-Za-z0-9][A-Za-z0-9._-]*)?$")]
AvatarId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Pixels = Annotated[int, Meta(ge=1, le=16384)]
Floats3x3 = Annotated[list[float], Meta(min_length=9, max_length=9)]
Light = Annotated[list[float], Meta(min_length=27, max_length=27)]
Floats4x4 = Annotated[list[float], Meta(min_length=16, max_length=16)]


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
    the payload part that holds (V, 3) little-endian float32 dense vertices in head space, -1 for none. ``light`` is
    radiance as 9 harmonics of red, green and blue (``avatar.light``) in the head's space, row-major, None for the
    photo's own; ``light_strength`` goes from the photo's to it. ``shadow`` is the index of the payload part that holds
    (V, 3) little-endian float16, 0 to 1: what the scene's shadows leave of each vertex' light; -1 for none.
    """

    avatar_id: AvatarId
    matrix: Floats4x4
    pose: Annotated[list[float], Meta(max_length=4096)] | None = None
    vertices: Annotated[int, Meta(ge=-1, le=4096)] = -1
    light: Light | None = None
    light_strength: Annotated[float, Meta(ge=0, le=1)] = 1.0
    shadow: Annotated[int, Meta(ge=-1, le=4096)] = -1


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
    sessions: Count = 64
    queue: Count = 256
    jobs: Count = 8
    batch: Count = 64
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


class SessionInfo(Struct, frozen=True):
    """One client's lease, in ``status.reply``. ``client`` is empty for clients with another key.

    ``number`` is the one in the log. ``seconds`` since ``hello``; ``frames`` waiting; ``fps`` over the last seconds.
    """

    number: Count
    client: str
    own: bool
    seconds: float
    avatars: Count
    streams: Count
    frames: Count
    fps: float


class JobInfo(Struct, frozen=True):
    """A reconstruction or tracking, in ``status.reply``. ``number`` is the one in the log, 0 while it waits."""

    kind: str
    number: Count
    running: bool
    clients: Count
    seconds: float


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


class AvatarInfo(Struct, frozen=True):
    """What an avatar holds; shared by ``reconstructed`` and ``avatar.stored``."""

    avatar_id: AvatarId
    splats: Count
    vertices: Count
    expressions: Count
    name: str = ""
    method: str = ""


class Message(Struct, kw_only=True, tag_field="type"):
    """Fields that every header has."""

    v: tuple[int, int] = PROTOCOL_VERSION
    id: Count = 0
    parent: Count | None = None
    session: Annotated[str, Meta(max_length=64)] = ""
