"""One exception hierarchy with stable codes; ``docs/errors.md`` lists every code.

A message says what happened, with which value, and why; ``remedy`` says what to do.
Codes are part of the wire protocol: never renumber one, never reuse one.
"""

from __future__ import annotations

from typing import ClassVar

_LONGEST = 4000


class GsheadError(Exception):
    """Base of every error that gshead raises on purpose.

    Attributes:
        code: stable code such as ``"GSH-E301"``.
        message: what happened, with which value, and why.
        remedy: what the user can do about it; may be empty.
    """

    code: ClassVar[str] = "GSH-E000"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        if len(message) > _LONGEST:  # it quotes a stranger's file, perhaps megabytes of it
            message = f"{message[: _LONGEST - 500]} … {message[-490:]}"
        self.message = message
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{text} {self.remedy}" if self.remedy else text


class ArgumentError(GsheadError, ValueError):
    """A value handed to a public function is outside what it takes."""

    code = "GSH-E100"


class FileFormatError(GsheadError):
    """A file is not what its name or its reader expects."""

    code = "GSH-E101"


class MissingAssetError(GsheadError):
    """A file that gshead needs is not installed."""

    code = "GSH-E102"


class Cancelled(GsheadError):
    """The user asked for the work to stop."""

    code = "GSH-E103"


class MissingWeightsError(MissingAssetError):
    """The weights of a network, or a model that a method needs beside them, are absent or of another version."""

    code = "GSH-E104"


class HeadError(GsheadError):
    """A head model cannot be read or does not fit the avatar."""

    code = "GSH-E200"


class UnsafePickleError(HeadError):
    """A pickle (a FLAME model, a checkpoint) asks for something other than plain arrays."""

    code = "GSH-E201"


class PortraitError(GsheadError):
    """A portrait cannot be used."""

    code = "GSH-E300"


class ImageError(PortraitError):
    """The bytes are not an image that gshead reads."""

    code = "GSH-E301"


class ImageTooLargeError(PortraitError):
    """The image has more pixels than the limit."""

    code = "GSH-E302"


class NoFaceError(PortraitError):
    """No usable face in the image."""

    code = "GSH-E303"


class FaceTooSmallError(PortraitError):
    """The face has too few pixels."""

    code = "GSH-E304"


class ProfileViewError(PortraitError):
    """The face is turned too far away from the camera."""

    code = "GSH-E305"


class RenderError(GsheadError):
    """A frame could not be rendered."""

    code = "GSH-E400"


class OutOfMemoryError(RenderError):
    """The device has too little memory for the request."""

    code = "GSH-E401"


class ProtocolError(GsheadError):
    """A message breaks the wire protocol. ``sender_id`` is the id of that message when it could still be read."""

    code = "GSH-E500"
    sender_id: int = 0


class VersionError(ProtocolError):
    """Client and backend speak different major protocol versions."""

    code = "GSH-E501"


class LimitError(ProtocolError):
    """A message exceeds a limit that ``hello`` announced."""

    code = "GSH-E502"


class UnsupportedError(ProtocolError):
    """The backend does not know this request."""

    code = "GSH-E503"


class UnknownIdError(ProtocolError):
    """An id names nothing that this client owns."""

    code = "GSH-E504"


class AuthenticationError(ProtocolError):
    """A key or an endpoint is not acceptable."""

    code = "GSH-E505"


class BackendError(GsheadError):
    """The backend cannot be started or has gone."""

    code = "GSH-E600"


class BackendDiedError(BackendError):
    """The backend or its worker process ended while work was under way."""

    code = "GSH-E601"


class BackendTimeoutError(BackendError):
    """The backend did not answer in time."""

    code = "GSH-E602"


class ExportError(GsheadError):
    """A file could not be written or read back."""

    code = "GSH-E700"


class MissingEncoderError(ExportError):
    """No video encoder is installed, or the one that is cannot write this kind of file."""

    code = "GSH-E701"


class EvaluationError(GsheadError):
    """A benchmark cannot be run on what it was given."""

    code = "GSH-E800"


class SceneError(EvaluationError):
    """A multi-view folder does not hold what ``docs/evaluation.md`` asks for."""

    code = "GSH-E801"


class ReportError(EvaluationError):
    """A file is not an evaluation's report, or not of a version that can be compared."""

    code = "GSH-E802"


def _all(cls: type[GsheadError]) -> dict[str, type[GsheadError]]:
    found = {cls.code: cls}
    for sub in cls.__subclasses__():
        found.update(_all(sub))
    return found


def from_code(code: str, message: str, remedy: str = "") -> GsheadError:
    """The exception for a code that came over the wire; unknown codes give ``GsheadError``."""
    return _all(GsheadError).get(code, GsheadError)(message, remedy=remedy)
