"""Every place in which gshead keeps data, and what lies there."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArgumentError
from ..folders import data_folder
from ..methods.needs import brought_folder
from ..portrait.assets import assets_folder
from ..protocol.endpoint import runtime_dir

PICTURES, LEFTOVERS, BROUGHT, FETCHED = "pictures", "leftovers", "brought", "fetched"
CLIP_PREFIX = "gshead-clip-"
FARM_PREFIX = "gsh-"
_EXTENSION_FRAMES = ".user/*/gshead/frames"


@dataclass(frozen=True)
class Place:
    """One folder.

    Attributes:
        name: what ``gshead cache`` calls it; several folders may share one.
        kind: ``PICTURES`` that are drawn again when needed, ``LEFTOVERS`` of processes, what the user ``BROUGHT``, or
            what a command ``FETCHED``.
        personal: shows people or says who they are.
        what: in words.
    """

    name: str
    kind: str
    path: Path
    personal: bool
    what: str


@dataclass(frozen=True)
class Item:
    """One file. ``used``: seconds since the epoch at which it was last written or taken out of its cache."""

    path: Path
    bytes: int
    used: float


@dataclass(frozen=True)
class Holding:
    """What lies in a place. ``open_to_others``: another user of this machine can enter it."""

    place: Place
    items: tuple[Item, ...]
    open_to_others: bool

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(item.bytes for item in self.items)

    def oldest_days(self, now: float | None = None) -> float:
        """Days since the file that was unused for longest was used; 0 for none."""
        now = time.time() if now is None else now
        return max((max(now - item.used, 0.0) for item in self.items), default=0.0) / 86400


def places() -> list[Place]:
    """All of them, whether or not they exist; those with personal data first."""
    found = [Place("frames", PICTURES, p, True, "viewport frames of heads, kept by Blender") for p in _frame_folders()]
    found.append(
        Place("runtime", LEFTOVERS, runtime_dir(make=False), True, "sockets, keys, logs and frames of backends")
    )
    found += [Place("clips", LEFTOVERS, p, True, "a clip that was being tracked") for p in _own_temporary(CLIP_PREFIX)]
    found += [
        Place("farm", LEFTOVERS, p, True, "sockets, keys, logs and frames of a farm job's backend")
        for p in _own_temporary(FARM_PREFIX)
        if any(p.glob("*.lock"))
    ]
    with contextlib.suppress(ArgumentError):  # no home folder: nothing was imported
        found += [
            Place("heads", BROUGHT, data_folder() / "heads", False, "head models that you imported"),
            Place("weights", BROUGHT, brought_folder(), False, "published weights that you imported"),
        ]
    cache = assets_folder()
    found += [
        Place("networks", FETCHED, cache, False, "networks that read portraits"),
        Place("test_people", FETCHED, cache.with_name("test_people"), False, "rendered test people, who do not exist"),
        Place("test_clips", FETCHED, cache.with_name("test_clips"), False, "rendered test clips"),
    ]
    return found


def holding(place: Place) -> Holding:
    """What lies in a place now; links are counted, never followed."""
    items = () if place.path.is_symlink() else tuple(_items(place.path))
    return Holding(place, items, _open_to_others(place.path))


def _items(folder: Path) -> Iterator[Item]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        try:
            info = entry.stat(follow_symlinks=False)
        except OSError:  # gone in this moment
            continue
        if stat.S_ISDIR(info.st_mode):
            yield from _items(Path(entry.path))
        else:
            yield Item(Path(entry.path), info.st_size, info.st_mtime)


def _open_to_others(path: Path) -> bool:
    try:
        return os.name == "posix" and bool(path.lstat().st_mode & 0o077)
    except OSError:
        return False


def _own_temporary(prefix: str) -> list[Path]:
    """Temporary folders of this user: there are some only while somebody works, or when it was killed."""
    return [p for p in sorted(Path(tempfile.gettempdir()).glob(f"{prefix}*")) if _own_folder(p)]


def _own_folder(path: Path) -> bool:
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and (os.name != "posix" or info.st_uid == os.getuid())


def _frame_folders() -> list[Path]:
    """The frame caches of every Blender version of this user."""
    return [folder for base in _extension_folders() for folder in sorted(base.glob(_EXTENSION_FRAMES))]


def _extension_folders() -> list[Path]:
    if chosen := os.environ.get("BLENDER_USER_EXTENSIONS"):
        return [Path(chosen)]
    if chosen := os.environ.get("BLENDER_USER_RESOURCES"):
        return [Path(chosen) / "extensions"]
    try:
        return sorted(_blender_settings().glob("*.*/extensions"))
    except (RuntimeError, OSError):
        return []


def _blender_settings() -> Path:
    """The folder in which Blender keeps a folder for each version."""
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
        return Path(roaming) / "Blender Foundation" / "Blender"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Blender"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "blender"
