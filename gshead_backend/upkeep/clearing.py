"""Clearing what gshead keeps, on request and by the limits of size and age."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArgumentError
from ..folders import CacheLimits, make_private, read_limits
from ..protocol.launcher import check_name, lock_path
from ..protocol.locks import FileLock
from .places import BROUGHT, LEFTOVERS, PICTURES, Holding, Item, Place, holding, places

_TEMPORARY = ("clips", "farm")
_KEPT_ENDINGS = (".lock", ".keys")
"""In the runtime folder: a lock that is removed while a backend starts would let two start; keys are the user's."""


@dataclass(frozen=True)
class Cleared:
    """What was removed from a place, and how many files are in use or could not be removed."""

    place: Place
    files: int
    bytes: int
    left: int


def clear(names: Sequence[str] = (), *, older_than_days: float = 0.0) -> list[Cleared]:
    """Remove files from places.

    Args:
        names: of places; without any, all that is personal and can be made again.
        older_than_days: only what was not used for longer.

    Raises ``ArgumentError`` for an unknown name or a negative age.
    """
    known = places()
    if not older_than_days >= 0:
        raise ArgumentError(f"The age must be a number of days from 0, got {older_than_days}.")
    if unknown := [name for name in names if name not in {place.name for place in known} | {"frames", "clips", "farm"}]:
        raise ArgumentError(
            f"There is no cache '{unknown[0]}'.",
            remedy=f"Use one of: {', '.join(dict.fromkeys(place.name for place in known))}.",
        )
    chosen = [p for p in known if (p.name in names if names else p.kind in (PICTURES, LEFTOVERS))]
    limit = time.time() - older_than_days * 86400
    return [_remove(holding(place), lambda item: older_than_days == 0 or item.used < limit) for place in chosen]


def apply_limits(limits: CacheLimits | None = None) -> list[Cleared]:
    """Remove what is too old or too much from the places of pictures and leftovers, and close those that are open.

    Args:
        limits: those of :func:`read_limits` when None. The size is of each folder of pictures.
    """
    limits = read_limits() if limits is None else limits
    done = []
    for place in places():
        if place.kind in (PICTURES, BROUGHT) and place.path.is_dir():
            with contextlib.suppress(Exception):  # somebody else's: listed as open
                make_private(place.path)
        if place.kind in (PICTURES, LEFTOVERS):
            found = holding(place)
            doomed = _surplus(found.items, limits, by_size=place.kind == PICTURES)
            done.append(_remove(found, lambda item, doomed=doomed: item.path in doomed))
    return done


def _surplus(items: Sequence[Item], limits: CacheLimits, *, by_size: bool) -> set[Path]:
    """What is older than the limit, and of the rest the longest unused until it is small enough."""
    oldest = time.time() - limits.days * 86400
    doomed = {item.path for item in items if item.used < oldest}
    rest = sorted((item for item in items if item.path not in doomed), key=lambda item: item.used)
    surplus = sum(item.bytes for item in rest) - limits.bytes if by_size and limits.bytes is not None else 0
    for item in rest:
        if surplus <= 0:
            break
        surplus -= item.bytes
        doomed.add(item.path)
    return doomed


def _remove(found: Holding, wanted: Callable[[Item], bool]) -> Cleared:
    files = size = left = 0
    with contextlib.ExitStack() as held:
        keep = _in_use(found.place, held)
        for item in found.items:
            if not wanted(item):
                continue
            if keep(item.path):
                left += 1
                continue
            try:
                item.path.unlink()
            except OSError:
                left += 1
            else:
                files, size = files + 1, size + item.bytes
    if found.place.name in _TEMPORARY and not left:
        with contextlib.suppress(OSError):
            found.place.path.rmdir()
    return Cleared(found.place, files, size, left)


def _in_use(place: Place, held: contextlib.ExitStack) -> Callable[[Path], bool]:
    """Whether a file of the place belongs to a process that lives; in the runtime folder none can start meanwhile.

    ``held`` lets go of the locks that see to that: a backend that starts makes files of the same names.
    """
    if place.kind != LEFTOVERS:
        return lambda path: False
    folder = place.path
    if place.name == "clips":
        folder = next((p.path for p in places() if p.name == "runtime"), folder)
    living = set()
    for name in _backend_names(folder):
        lock = FileLock(lock_path(folder, name))
        try:
            free = lock.acquire()
        except OSError:  # somebody else's
            free = False
        if not free:
            living.add(name)
        elif place.name in _TEMPORARY:
            lock.release()  # it goes, too
        else:
            held.callback(lock.release)
    if place.name in _TEMPORARY:  # a farm's folder is one backend's; which worker reads a clip is written nowhere
        return lambda path: bool(living)
    return lambda path: path.suffix in _KEPT_ENDINGS or path.name.split(".")[0] in living


def _backend_names(folder: Path) -> list[str]:
    names = []
    for lock in folder.glob("*.lock"):
        with contextlib.suppress(ArgumentError):
            names.append(check_name(lock.stem))
    return names
