"""Message types of the wire protocol: one msgspec Struct each, told apart by the ``type`` field of the JSON header.

``docs/protocol.md`` is the specification. Every message carries the protocol version, an id chosen by its sender,
the id it answers (``parent``) and the session given by ``hello.reply``. Extra fields are ignored, so minor versions
may add some. Ranges that do not depend on configured limits are part of the types; the rest is in ``limits``.
"""

from __future__ import annotations

from .fields import (
    PROTOCOL_VERSION,
    AvatarId,
    AvatarInfo,
    CameraSpec,
    Count,
    Dtype,
    Floats3x3,
    Floats4x4,
    FrameInfo,
    InstanceSpec,
    JobInfo,
    LimitsInfo,
    Message,
    Motion,
    Name,
    Pixels,
    Quality,
    RingRef,
    SessionInfo,
    WorkerInfo,
    WorkerState,
)
from .from_backend import (
    AvatarData,
    AvatarStored,
    BatchMade,
    Beat,
    Done,
    Error,
    FrameReply,
    HelloReply,
    Preview,
    Progress,
    Reconstructed,
    StatusReply,
    StreamFrame,
    StreamOpened,
    Tracked,
)
from .from_client import (
    AvatarDrop,
    AvatarGet,
    AvatarPut,
    BatchMake,
    Cancel,
    Goodbye,
    Hello,
    Reconstruct,
    RenderFrame,
    RestartWorker,
    RingRelease,
    Shutdown,
    Status,
    StreamAck,
    StreamClose,
    StreamOpen,
    StreamUpdate,
    Track,
)

Request = (
    Hello | Goodbye | Cancel | Reconstruct | BatchMake | Track | AvatarPut | AvatarGet | AvatarDrop | RenderFrame
    | StreamOpen | StreamUpdate | StreamAck | StreamClose | RingRelease | RestartWorker | Shutdown
    | Status
)  # fmt: skip
Reply = (
    HelloReply | Done | Error | Progress | Preview | Reconstructed | BatchMade | Tracked | AvatarStored | AvatarData
    | FrameReply | StreamOpened | StreamFrame | StatusReply | Beat
)  # fmt: skip

__all__ = [
    "PROTOCOL_VERSION", "AvatarData", "AvatarDrop", "AvatarGet", "AvatarId", "AvatarInfo", "AvatarPut",
    "AvatarStored", "BatchMade", "BatchMake",
    "Beat", "CameraSpec", "Cancel", "Count", "Done", "Dtype", "Error", "Floats3x3", "Floats4x4",
    "FrameInfo", "FrameReply", "Goodbye", "Hello", "HelloReply", "InstanceSpec", "JobInfo", "LimitsInfo",
    "Message", "Motion", "Name", "Pixels", "Preview", "Progress", "Quality", "Reconstruct", "Reconstructed",
    "RenderFrame", "Reply", "Request", "RestartWorker", "RingRef", "RingRelease", "SessionInfo", "Shutdown",
    "Status", "StatusReply", "StreamAck", "StreamClose", "StreamFrame", "StreamOpen", "StreamOpened",
    "StreamUpdate", "Track", "Tracked", "WorkerInfo", "WorkerState",
]  # fmt: skip
