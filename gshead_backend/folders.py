"""The user's data folder, private folders, and how much caches may keep. Standard library only: Blender uses it too."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import ArgumentError, ExportError
from .files import write_atomic

LIMITS_FILE = "cache-limits.json"
_LARGEST_BYTES, _MOST_DAYS = 2**50, 36500.0


def data_folder() -> Path:
    """``$GSHEAD_DATA_DIR`` or the user's data folder. It need not exist.

    The same place as ``platformdirs.user_data_dir("gshead")``, spelled out because Blender's Python lacks that package.
    """
    if chosen := os.environ.get("GSHEAD_DATA_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local") / "gshead" / "gshead"
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support" / "gshead"
    return Path(os.environ.get("XDG_DATA_HOME") or _home() / ".local" / "share") / "gshead"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and the user is in no password file: containers, some farms
        raise ArgumentError(
            "This user has no home folder.", remedy="Set GSHEAD_DATA_DIR to a folder of your own."
        ) from None


def make_private(folder: Path) -> Path:
    """Make ``folder`` (mode 0700) when it is missing; one of this user that others can enter is closed to them.

    Raises ``ExportError`` when it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            info = folder.lstat()
            if stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and info.st_mode & 0o077:
                folder.chmod(0o700)
    except OSError as error:
        raise ExportError(
            f"The folder '{folder}' cannot be made: {error.strerror or error}.",
            remedy="Choose a folder that you may write to and that has space left; GSHEAD_DATA_DIR moves gshead's own.",
        ) from error
    return folder


@dataclass(frozen=True)
class CacheLimits:
    """How much caches of pictures of people may keep.

    Attributes:
        bytes: of each cache; None leaves it to the preferences of the extension.
        days: what was not used for longer goes.
    """

    bytes: int | None = None
    days: float = 30.0

    def __post_init__(self) -> None:
        if self.bytes is not None and not 0 <= self.bytes <= _LARGEST_BYTES:
            raise ArgumentError(f"The size limit must lie in 0..{_LARGEST_BYTES} bytes, got {self.bytes}.")
        if not 0 < self.days <= _MOST_DAYS:  # refuses NaN too
            raise ArgumentError(f"The age limit must lie above 0 and be at most {_MOST_DAYS:g} days, got {self.days}.")


def read_limits() -> CacheLimits:
    """What ``gshead cache limit`` wrote; the defaults when it wrote nothing, or the file is damaged."""
    with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError, ArgumentError):
        found = json.loads((data_folder() / LIMITS_FILE).read_text("utf-8"))
        size, days = found.get("bytes"), found.get("days", CacheLimits.days)
        if (size is None or type(size) is int) and type(days) in (int, float):
            return CacheLimits(size, float(days))
    return CacheLimits()


def write_limits(limits: CacheLimits) -> Path:
    """Keep the limits for this user; returns the file. Raises ``ExportError``."""
    path = make_private(data_folder()) / LIMITS_FILE
    write_atomic(path, json.dumps(asdict(limits)).encode())
    return path
