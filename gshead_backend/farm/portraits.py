"""The folder of a batch of portraits: which photo becomes which avatar, and what became of each.

``batch.json`` in the output folder has one entry a photo. It is written anew, atomically, whenever one is finished, so
that whoever is killed is gone on from: an avatar counts when its photo, its settings and its own hash are as noted.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import __version__
from ..errors import ArgumentError, ExportError, FileFormatError, GsheadError
from ..files import write_atomic

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
REPORT = "batch.json"
VERSION = 1
_READ = 64 << 20
_LONGEST = 235
"""Bytes of a name, of the 255 that file systems take."""
_SHARE = 20.0
"""Times that writing the report takes, between two of them."""

State = Literal["waiting", "kept", "made", "failed"]


def display_name(photo: Path) -> str:
    """An avatar's name: its photo's, as text that can be written anywhere."""
    stem = photo.stem.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in stem if c.isprintable()).strip()[:100] or "head"


@dataclass
class Item:
    """One photo.

    Attributes:
        photo: name in the input folder. file: name of the avatar in the output folder.
        key: of the photo's bytes and the settings; "" while the photo was not read. sha256: of the avatar.
        seconds: computing time. worker, tries: who made it, and how many workers began it.
        error: code, message and remedy of a failure.
    """

    photo: str
    file: str
    state: State = "waiting"
    key: str = ""
    sha256: str = ""
    seconds: float = 0.0
    worker: str = ""
    tries: int = 0
    warnings: list[str] = field(default_factory=list)
    error: dict[str, str] = field(default_factory=dict)


def photos_in(folder: Path) -> tuple[list[str], int]:
    """Names of the pictures in ``folder``, sorted, and how many other entries are left alone.

    Folders within it and hidden files are not looked at. Raises ``ArgumentError`` when there is no picture,
    ``FileFormatError`` when the folder cannot be read.
    """
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        names = sorted(e.name for e in entries if e.name.lower().endswith(ENDINGS) and e.is_file())
    except OSError as error:
        raise FileFormatError(f"The folder '{folder}' cannot be read: {error.strerror or error}.") from error
    if not names:
        raise ArgumentError(
            f"There is no picture in '{folder}' itself; folders within it are not searched.",
            remedy=f"Pictures end in {', '.join(ENDINGS)}.",
        )
    return names, len(entries) - len(names)


def avatar_names(photos: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """A file name for each photo's avatar, no two the same, on file systems that ignore case either.

    ``NAME.gshead``; photos that differ in their ending only keep it, as in ``NAME.jpg.gshead``. ``known``: names from
    an earlier run, which stay. A photo's name may be so long that no longer one can be written: it is cut.
    """
    stems = [Path(photo).stem.casefold() for photo in photos]
    names = {photo: known[photo] for photo in photos if photo in known}
    taken = {name.casefold() for name in names.values()}
    for photo, stem in zip(photos, stems, strict=True):
        if photo in names:
            continue
        plain = [f"{_cut(Path(photo).stem)}.gshead"] if stems.count(stem) == 1 else []
        numbered = (f"{_cut(photo)}-{i}.gshead" for i in range(2, len(photos) + 3))
        names[photo] = next(n for n in (*plain, f"{_cut(photo)}.gshead", *numbered) if n.casefold() not in taken)
        taken.add(names[photo].casefold())
    return names


def _cut(name: str) -> str:
    """The beginning of a file's name, short enough for an ending and a number behind it."""
    coded = os.fsencode(name)
    return coded[:_LONGEST].decode("utf-8", "ignore") if len(coded) > _LONGEST else name


class Batch:
    """The items of one run. ``settings``: what the avatars depend on beside the photo, as JSON values."""

    def __init__(self, folder: Path, out: Path, settings: Mapping[str, Any], *, again: bool = False) -> None:
        self.folder, self.out, self.settings = folder, out, dict(settings)
        photos, self.others = photos_in(folder)
        self._before = {} if again else self._read()
        known = {photo: item.file for photo, item in self._read().items()}
        names = avatar_names(photos, known)
        self.items = [Item(photo, names[photo]) for photo in photos]
        self._not_before = 0.0

    def read(self, item: Item) -> bytes | None:
        """The photo's bytes, or None when its avatar is there and whole, which the item then says.

        Raises ``FileFormatError``.
        """
        path = self.folder / item.photo
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
        item.key = self._key(data)
        before = self._before.get(item.photo)
        if before is None or before.state not in ("made", "kept") or before.key != item.key:
            return data
        if before.sha256 != _hash_of(self.out / item.file):
            return data
        for name in ("sha256", "seconds", "worker", "tries", "warnings"):
            setattr(item, name, getattr(before, name))
        item.state = "kept"
        return None

    def keep(
        self, item: Item, data: bytes, *, seconds: float, worker: str, tries: int, warnings: Sequence[str]
    ) -> None:
        """Writes an avatar and notes it. Raises ``ExportError``."""
        # Noted before it is written: an interruption between the two then costs nothing, for the hash tells.
        item.sha256, item.seconds, item.worker, item.tries = hashlib.sha256(data).hexdigest(), seconds, worker, tries
        item.warnings, item.error, item.state = list(warnings), {}, "made"
        try:
            write_atomic(self.out / item.file, data)
        except ExportError:
            item.sha256, item.state = "", "waiting"
            raise
        self._note()

    def fail(self, item: Item, error: GsheadError) -> None:
        """Notes why there is no avatar."""
        item.error = {"code": error.code, "message": error.message, "remedy": error.remedy}
        item.state = "failed"
        self._note()

    def count(self, *states: State) -> int:
        """Items in one of these states."""
        return sum(item.state in states for item in self.items)

    def report(self) -> dict[str, Any]:
        """What ``batch.json`` holds.

        Items that wait keep what an earlier run knew of them: this one may be interrupted.
        """
        items = []
        for item in self.items:
            before = self._before.get(item.photo)
            items.append(asdict(before) | {"file": item.file} if before and item.state == "waiting" else asdict(item))
        states = [entry["state"] for entry in items]
        return {
            "version": VERSION, "gshead": __version__, "settings": self.settings,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "counts": {state: states.count(state) for state in ("made", "kept", "failed", "waiting")},
            "items": items,
        }  # fmt: skip

    def write(self) -> None:
        """``batch.json`` as things are now. Raises ``ExportError``."""
        write_atomic(self.out / REPORT, json.dumps(self.report(), indent=1).encode())

    def _note(self) -> None:
        """``write``, but of thousands of items not after each: what a killed run did not note is made again."""
        started = time.monotonic()
        if started >= self._not_before:
            self.write()
            ended = time.monotonic()
            self._not_before = ended + _SHARE * (ended - started)

    def _key(self, photo: bytes) -> str:
        digest = hashlib.sha256(hashlib.sha256(photo).digest())
        digest.update(json.dumps([__version__, self.settings], sort_keys=True).encode())
        return digest.hexdigest()

    def _read(self) -> dict[str, Item]:
        """Items of an earlier run; none when there was none, or its report is damaged."""
        try:
            with open(self.out / REPORT, "rb") as file:
                value = json.loads(file.read(_READ))
            if value["version"] != VERSION:
                return {}
            items = [_item(entry) for entry in value["items"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        return {item.photo: item for item in items}


def _item(entry: Any) -> Item:
    """An item of a report, which anybody may have edited. Raises ``ValueError``, ``TypeError``."""
    item = Item(**entry)
    for name, kind in (("photo", str), ("file", str), ("key", str), ("sha256", str), ("worker", str), ("tries", int)):
        if not isinstance(getattr(item, name), kind):
            raise TypeError(name)
    if os.path.basename(item.file) != item.file or not item.file.endswith(".gshead") or "\0" in item.file:
        raise ValueError("a file outside the folder")
    return item


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError:
        return ""
    return digest.hexdigest()
