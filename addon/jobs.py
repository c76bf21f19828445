"""A reconstruction on a thread of its own, so that Blender's window stays alive. No bpy here."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path
from typing import Any

from gshead_backend.errors import BackendError, FileFormatError, GsheadError

from .session import Session


def read_portrait(path: str | Path) -> bytes:
    """The bytes of an image file; what they are is the backend's business. Raises ``FileFormatError``."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error


class ReconstructJob:
    """Portrait to avatar in the background.

    Attributes:
        fraction, text: progress. preview: an unfinished head's bytes, once there are some. summary, data: the result
            once ``done``. error: why there is none.
    """

    def __init__(self, session: Session, portrait: bytes, *, quality: str, name: str) -> None:
        self.fraction, self.text = 0.0, "Starting"
        self.preview = b""
        self.summary: Any = None
        self.data = b""
        self.error: GsheadError | None = None
        self.cancel = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(session, portrait, quality, name), name="gshead-reconstruct", daemon=True
        )
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def _run(self, session: Session, portrait: bytes, quality: str, name: str) -> None:
        try:
            self.summary, self.data = session.reconstruct(
                portrait, quality=quality, name=name, on_progress=self._progress, on_preview=self._show,
                cancel=self.cancel,
            )  # fmt: skip
        except GsheadError as error:
            self.error = error
        except Exception as error:  # whatever it is, the operator must hear of it: nobody else watches this thread
            traceback.print_exc()
            self.error = BackendError(f"The reconstruction failed: {type(error).__name__}: {error}.")

    def _show(self, data: bytes) -> None:
        self.preview = data

    def _progress(self, fraction: float, text: str) -> None:
        self.fraction, self.text = fraction, text
