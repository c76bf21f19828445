"""Multipart framing: ``[header JSON] [payload part …]``; strict decoding that raises nothing but ``ProtocolError``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec
import zmq

from ..errors import LimitError, ProtocolError, UnsupportedError, VersionError
from .messages import PROTOCOL_VERSION, LimitsInfo, Message, Reply, Request

M = TypeVar("M", bound=Message)
Part = bytes | memoryview
_FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)


class _Envelope(msgspec.Struct):
    """The fields that must be readable whatever the version of the sender."""

    type: str = ""
    v: tuple[int, int] = (0, 0)
    id: int = 0


_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(_Envelope)
_requests: msgspec.json.Decoder[Any] = msgspec.json.Decoder(cast(Any, Request))
_replies: msgspec.json.Decoder[Any] = msgspec.json.Decoder(cast(Any, Reply))


def _tags(union: Any) -> frozenset[str]:
    return frozenset(cast(str, t.__struct_config__.tag) for t in union.__args__)


REQUEST_TYPES = _tags(Request)
REPLY_TYPES = _tags(Reply)


def encode(message: Message) -> bytes:
    """The JSON header of a message."""
    return _encoder.encode(message)


def _decode(header: bytes | memoryview, decoder: msgspec.json.Decoder[Any], known: frozenset[str]) -> Message:
    sender_id = 0
    try:
        envelope = _envelopes.decode(header)
        sender_id = envelope.id if 0 <= envelope.id <= 2**53 else 0
        if envelope.v[0] != PROTOCOL_VERSION[0]:
            raise _version_error(envelope.v, backend=known is REQUEST_TYPES)
        if envelope.type not in known:
            raise UnsupportedError(
                f"Unknown message type '{envelope.type[:60]}'.", remedy="Update gshead on this side."
            )
        message: Message = decoder.decode(header)
    except (VersionError, UnsupportedError) as error:
        raise _marked(error, sender_id) from None
    except _FAILURES as error:
        text = f"A message header cannot be read: {str(error)[:200] or type(error).__name__}."
        raise _marked(ProtocolError(text), sender_id) from None
    return message


def _version_error(theirs: tuple[int, int], *, backend: bool) -> VersionError:
    """Who is the older one, and how to update it. ``backend``: it is the backend that reads."""
    of_backend, of_client = (PROTOCOL_VERSION, theirs) if backend else (theirs, PROTOCOL_VERSION)
    update = (
        "The client is older: update the Gaussian Head extension (Preferences, Get Extensions)."
        if of_client < of_backend
        else "The backend is older: update it to the version of the extension, and start it again."
    )
    return VersionError(
        f"The backend speaks protocol {of_backend[0]}.{of_backend[1]}, the client {of_client[0]}.{of_client[1]}.",
        remedy=update,
    )


def _marked(error: ProtocolError, sender_id: int) -> ProtocolError:
    error.sender_id = sender_id
    return error


def decode_request(header: bytes | memoryview) -> Message:
    """A client's header. Raises ``ProtocolError``, ``VersionError`` or ``UnsupportedError`` with ``sender_id``."""
    return _decode(header, _requests, REQUEST_TYPES)


def decode_reply(header: bytes | memoryview) -> Message:
    """A backend's header; raises like :func:`decode_request`."""
    return _decode(header, _replies, REPLY_TYPES)


def receive(
    socket: zmq.Socket[bytes], limits: LimitsInfo, *, routed: bool
) -> tuple[list[zmq.Frame], LimitError | None]:
    """One whole multipart message, without blocking and without keeping more parts or bytes than allowed.

    ZeroMQ bounds one part (``MAXMSGSIZE``) but not their number, so parts beyond the limits are read and let go.

    Args:
        routed: the first part is a ROUTER identity and is not counted.

    Returns:
        The parts kept, and the error to answer when something had to be let go.

    Raises:
        zmq.Again: nothing is waiting.
    """
    frames: list[zmq.Frame] = []
    error: LimitError | None = None
    allowed, total = limits.parts + 1 + int(routed), 0
    while True:
        frame = socket.recv(zmq.NOBLOCK, copy=False)
        total += len(frame.buffer)
        if len(frames) >= allowed:
            error = error or LimitError(f"A message has more than {limits.parts} payload parts.")
        elif total > limits.message_bytes:
            error = error or LimitError(f"A message is larger than {limits.message_bytes} bytes.")
        else:
            frames.append(frame)
        if not socket.getsockopt(zmq.RCVMORE):
            break
    header = frames[int(routed)] if len(frames) > int(routed) else None
    if header is not None and len(header.buffer) > limits.header_bytes:
        error = error or LimitError(f"A message header is larger than {limits.header_bytes} bytes.")
    return frames, error


def check_parts(parts: Sequence[object], expected: int, kind: str) -> None:
    """Raises ``ProtocolError`` unless the message carries exactly the payload parts its header promises."""
    if len(parts) != expected:
        raise ProtocolError(f"A '{kind}' message must have {expected} payload parts, got {len(parts)}.")
