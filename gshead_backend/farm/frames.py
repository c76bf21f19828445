"""The folder of a rendered animation: which frames are there and whole, and who is at work on which.

Beside the pictures lies ``.gshead/``: one small JSON record a finished frame, one claim file a frame at work, and
unfinished pictures, which no reader of the folder sees. Everything is written under another name and renamed, so that
whoever is killed leaves nothing half; two workers may share a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ExportError
from ..files import make_folder, write_atomic

STALE = 3600.0
"""Seconds without a sign after which a claim of another machine is void; on this one its process is looked at."""
SIGN = 60.0
"""Seconds between two signs of whoever holds a claim: a frame may take longer than ``STALE``."""


@dataclass(frozen=True)
class FrameRecord:
    """A finished frame.

    Attributes:
        frame: number. file: name in the folder. sha256, bytes: of the file. key: of the job, see ``job_key``.
        seconds: the rendering took. versions: of what made it.
    """

    frame: int
    file: str
    sha256: str
    bytes: int
    key: str
    seconds: float
    versions: dict[str, str]


class FrameFolder:
    """``out`` of one job. ``key``: frames of another key are not this job's and are rendered anew."""

    def __init__(self, out: Path, key: str) -> None:
        self.out, self.key = out, key
        self._own = make_folder(out / ".gshead")

    def record(self, frame: int) -> FrameRecord | None:
        """What is known of a frame; None when it was not rendered, or its record is damaged."""
        try:
            value = json.loads((self._own / f"{frame:04d}.json").read_text("utf-8"))
            record = FrameRecord(**value)
        except (OSError, ValueError, TypeError):
            return None
        safe = isinstance(record.file, str) and record.file == Path(record.file).name
        return record if safe and record.frame == frame else None

    def valid(self, frame: int) -> bool:
        """The frame is there, whole, and of this job."""
        record = self.record(frame)
        if record is None or record.key != self.key:
            return False
        path = self.out / record.file
        try:
            return path.stat().st_size == record.bytes and file_sha256(path) == record.sha256
        except (OSError, ValueError):  # a zero byte in the name
            return False

    def scratch(self, frame: int) -> Path:
        """Where to render a frame: nobody else's, and no picture of the folder. Without an ending."""
        return self._own / f"{frame:04d}.{socket.gethostname()[:40]}.{os.getpid()}"

    def finish(self, frame: int, rendered: Path, seconds: float, versions: dict[str, str]) -> FrameRecord:
        """Move a rendered picture to its place, then write its record. Raises ``ExportError``."""
        name = f"{frame:04d}{rendered.suffix}"
        record = FrameRecord(
            frame, name, file_sha256(rendered), rendered.stat().st_size, self.key, round(seconds, 3), versions
        )
        try:
            with rendered.open("rb+") as file:  # a picture whose record is on disk is on disk itself
                os.fsync(file.fileno())
            os.replace(rendered, self.out / name)
        except OSError as error:
            raise ExportError(f"Frame {frame} cannot be written: {error.strerror or error}.") from error
        write_atomic(self._own / f"{frame:04d}.json", json.dumps(vars(record), sort_keys=True).encode())
        return record

    @contextlib.contextmanager
    def claimed(self, frame: int) -> Iterator[bool]:
        """Inside, this process alone renders the frame; False when another is at it."""
        path = self._own / f"{frame:04d}.claim"
        told: Future[bool] = Future()
        done = threading.Event()
        holder = threading.Thread(target=self._hold, args=(path, told, done), name="gshead-claim")
        try:
            holder.start()
            yield told.result()
        finally:
            done.set()
            if holder.ident is not None:
                holder.join(1.0)

    def _hold(self, path: Path, told: Future[bool], done: threading.Event) -> None:
        """Make a claim, give signs, remove it: in a thread of its own, where Ctrl-C cannot fall between two of them."""
        try:
            mine = self._claim(path) or (_is_void(path) and _remove_void(path) and self._claim(path))
            told.set_result(mine)
        except Exception as error:
            told.set_exception(error)
            return
        if mine:
            _give_signs(path, done)
            path.unlink(missing_ok=True)

    def busy(self, frame: int) -> bool:
        """Another process is at work on the frame."""
        path = self._own / f"{frame:04d}.claim"
        return path.exists() and not _is_void(path)

    def left_of(self, frames: Iterable[int], stop: threading.Event | None = None) -> list[int]:
        """Those of the frames that are still to be rendered, once nobody else is at work on any of them."""
        left = [frame for frame in frames if not self.valid(frame)]
        while any(self.busy(frame) for frame in left) and not (stop is not None and stop.is_set()):
            time.sleep(0.2)
            left = [frame for frame in left if self.busy(frame) or not self.valid(frame)]
        return left

    def _claim(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        except OSError as error:
            raise ExportError(f"'{path}' cannot be written: {error.strerror or error}.") from error
        with os.fdopen(handle, "w") as file:
            json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
        return True

    def sweep(self) -> None:
        """Remove what killed processes left: unfinished pictures of this machine and void claims."""
        unfinished = re.compile(rf"-?\d+\.{re.escape(socket.gethostname()[:40])}\.(\d+)(\..*)?")
        for path in self._own.iterdir():
            found = unfinished.fullmatch(path.name)
            if found and not _alive(int(found[1])):
                path.unlink(missing_ok=True)
            elif path.suffix == ".claim" and _is_void(path):
                _remove_void(path)

    def write_manifest(self, frames: list[int]) -> Path:
        """``manifest.json``: the records of these frames in order, and what is missing."""
        records = {frame: self.record(frame) for frame in frames}
        content: dict[str, Any] = {
            "key": self.key,
            "frames": [vars(r) for r in records.values() if r is not None and r.key == self.key],
            "missing": [frame for frame, r in records.items() if r is None or r.key != self.key],
        }
        path = self.out / "manifest.json"
        write_atomic(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
        return path


def _give_signs(path: Path, done: threading.Event) -> None:
    while not done.wait(SIGN):
        with contextlib.suppress(OSError):  # a share that is away for a moment
            os.utime(path)


def job_key(blend: Path, **settings: Any) -> str:
    """What a frame depends on, in 64 hex digits: the file's bytes, settings that change its picture, gshead's version.

    Files that the .blend links to are not looked at.
    """
    return hashlib.sha256(
        (file_sha256(blend) + json.dumps({**settings, "gshead": __version__}, sort_keys=True)).encode()
    ).hexdigest()


def file_sha256(path: Path) -> str:
    """Of a whole file. Raises ``OSError``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_void(path: Path) -> bool:
    """Whoever made the claim is gone, or has been silent too long on another machine."""
    try:
        claim, age = json.loads(path.read_text("utf-8")), time.time() - path.stat().st_mtime
        host, pid = claim["host"], int(claim["pid"])
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > 5.0  # just being written, or left empty by a power cut
        return True
    return not _alive(pid) if host == socket.gethostname() else age > STALE


def _remove_void(path: Path) -> bool:
    """Take a void claim away; whether this was it that did. Of two that see it, one may have made its own claim before
    the other comes to remove: what is found to be no void one is put back."""
    taken = path.with_suffix(f".void-{os.getpid()}-{threading.get_ident()}")
    try:
        os.replace(path, taken)
    except OSError:
        return False
    void = _is_void(taken)
    if not void:
        try:
            os.link(taken, path)  # unlike a renaming, never over a newer one
        except FileExistsError:
            pass
        except OSError:  # a share that knows no links
            os.replace(taken, path)
    taken.unlink(missing_ok=True)
    return void


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:  # one that has ended, and that nobody has asked about yet, does nothing any more
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")
