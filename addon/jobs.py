"""Work of the backend on a thread of its own, so that Blender's window stays alive. No bpy here."""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from gshead_backend.avatar.take import Take, take_from_json
from gshead_backend.errors import BackendError, FileFormatError, GsheadError

from .session import Session


def read_portrait(path: str | Path) -> bytes:
    """The bytes of an image file; what they are is the backend's business. Raises ``FileFormatError``."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error


class Job(ABC):
    """Something that takes a while, begun with ``start``.

    Attributes:
        what: for messages. fraction, text: progress. error: why there is no result, once ``done``.
        cancel: set it to stop the work.
    """

    what = "work"

    def __init__(self) -> None:
        self.fraction, self.text = 0.0, "Starting"
        self.error: GsheadError | None = None
        self.cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"gshead-{self.what}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> None:
        """Block until it has ended."""
        self._thread.join()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    @abstractmethod
    def work(self) -> None:
        """Does it and keeps the result; on its own thread."""

    def _run(self) -> None:
        try:
            self.work()
        except GsheadError as error:
            self.error = error
        except Exception as error:  # whatever it is, the operator must hear of it: nobody else watches this thread
            traceback.print_exc()
            self.error = BackendError(f"The {self.what} failed: {type(error).__name__}: {error}.")

    def _progress(self, fraction: float, text: str) -> None:
        self.fraction, self.text = fraction, text


class ReconstructJob(Job):
    """Portrait to avatar in the background; ``wish`` as for ``Session.reconstruct``.

    Attributes:
        preview: an unfinished head's bytes, once there are some. summary, data: the result once ``done``.
    """

    what = "reconstruction"

    def __init__(self, session: Session, portrait: bytes, **wish: str) -> None:
        super().__init__()
        self.preview = b""
        self.summary: Any = None
        self.data = b""
        self._wish = session, portrait, wish
        self.start()

    def work(self) -> None:
        session, portrait, wish = self._wish
        self.summary, self.data = session.reconstruct(
            portrait, **wish, on_progress=self._progress, on_preview=self._show, cancel=self.cancel,
        )  # fmt: skip

    def _show(self, data: bytes) -> None:
        self.preview = data


class TrackJob(Job):
    """A filmed face to a take in the background.

    Attributes:
        take, warnings: the result once ``done``.
    """

    what = "tracking"

    def __init__(self, session: Session, clip: Path, **wish: Any) -> None:
        super().__init__()
        self.take: Take | None = None
        self.warnings: tuple[str, ...] = ()
        self._session, self._clip, self._wish = session, clip, wish
        self.start()

    def work(self) -> None:
        self.take, self.warnings = track_clip(
            self._session, self._clip, **self._wish, on_progress=self._progress, cancel=self.cancel
        )


def track_clip(session: Session, clip: Path, **wish: Any) -> tuple[Take, tuple[str, ...]]:
    """A clip's take and what the user should hear of it; blocks. ``wish`` as for ``Session.track``."""
    made = session.track(clip, **wish)
    return take_from_json(made.text), made.warnings


def clip_of(path: str | Path) -> Path:
    """The clip that a file browser's choice means: a video, or the folder of a picture that was chosen."""
    path = Path(path)
    return path.parent if path.suffix.lower() in PICTURES else path


def clip_wish(path: str | Path, scene_rate: float, fps: float = 0.0) -> tuple[Path, dict[str, Any]]:
    """The clip, and the ``name`` and ``fps`` that ``track_clip`` is to be given for it.

    Args:
        path: of a video, a folder of pictures or one of them.
        fps: 0 for a video's own, and for pictures ``scene_rate``.
    """
    clip = clip_of(path)
    folder = clip.is_dir()
    name = (clip.name if folder else clip.stem)[:60] or "Take"
    return clip, {"name": name, "fps": fps or (scene_rate if folder else 0.0)}


PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
