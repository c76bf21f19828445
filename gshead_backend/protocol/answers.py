"""What the backend's answers are to a caller: from a message and its payload to a value."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import ProtocolError
from . import messages as m
from .framing import check_parts
from .values import AvatarSummary, MadeAvatar, TrackedTake


def hello(message: Any, parts: list[memoryview]) -> m.HelloReply:
    """The answer to ``hello``, as it is."""
    if not isinstance(message, m.HelloReply):
        raise ProtocolError("The backend did not answer hello with hello.reply.")
    return message


def reconstructed(message: m.Reconstructed, parts: list[memoryview]) -> AvatarSummary:
    """What was made of a portrait."""
    return AvatarSummary.from_message(message)


def made(message: m.BatchMade, parts: list[memoryview]) -> MadeAvatar:
    """What a pool made of a portrait."""
    check_parts(parts, 1, "batch.made")
    return MadeAvatar.from_message(message, bytes(parts[0]))


def tracked(message: m.Tracked, parts: list[memoryview]) -> TrackedTake:
    """What was made of a clip."""
    check_parts(parts, 1, "tracked")
    return TrackedTake(str(parts[0], "utf-8", "replace"), tuple(message.warnings), message.seconds)


def stored(message: m.AvatarStored, parts: list[memoryview]) -> AvatarSummary:
    """What an avatar that was put holds."""
    return AvatarSummary.from_info(message.avatar)


def data(message: m.AvatarData, parts: list[memoryview]) -> bytes:
    """The bytes of an avatar; raises ``ProtocolError`` when they are another's."""
    check_parts(parts, 1, "avatar.data")
    found = bytes(parts[0])
    if hashlib.sha256(found).hexdigest() != message.avatar_id:
        raise ProtocolError("The avatar that came back does not have the hash that was asked for.")
    return found


def status(message: Any, parts: list[memoryview]) -> m.StatusReply:
    """What the backend is doing, as it is."""
    if not isinstance(message, m.StatusReply):
        raise ProtocolError("The backend did not answer status with status.reply.")
    return message


def nothing(message: m.Message, parts: list[memoryview]) -> None:
    """It was done."""
    return None
