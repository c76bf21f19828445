"""``dataset.json``: what a folder of prepared footage holds and what was dropped; no names and no paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from ..errors import FileFormatError
from ..files import write_atomic

FILE = "dataset.json"
FORMAT, VERSION = "gshead-dataset", 1


class ShardRecord(msgspec.Struct, frozen=True):
    """One file in the folder ``footage``."""

    file: str
    frames: int
    bytes: int


class PersonRecord(msgspec.Struct, frozen=True):
    """One person of a source."""

    person: str
    frames: int
    shards: list[ShardRecord]


class SourceRecord(msgspec.Struct, frozen=True):
    """A prepared source. source, settings: hashes. looked, dropped: frames, see ``settings.REASONS``."""

    source: str
    kind: str
    split: str
    licence: str
    settings: str
    looked: int
    dropped: dict[str, int]
    people: list[PersonRecord]
    facts: dict[str, float]
    seconds: float

    @property
    def frames(self) -> int:
        return sum(p.frames for p in self.people)


class Manifest(msgspec.Struct):
    """The whole folder. sources: by their hash."""

    format: str = FORMAT
    version: int = VERSION
    sources: dict[str, SourceRecord] = msgspec.field(default_factory=dict)

    def write(self, folder: Path) -> None:
        data = msgspec.to_builtins(self)
        data["sources"] = dict(sorted(data["sources"].items()))
        write_atomic(folder / FILE, json.dumps(data, indent=1).encode())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, an empty one where there is none yet. Raises ``FileFormatError``."""
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (OSError, msgspec.DecodeError) as error:
        raise FileFormatError(
            f"'{path}' is not a manifest of prepared footage: {error}.",
            remedy="Remove it and prepare the sources again: whole shards are kept.",
        ) from error
    if found.format != FORMAT or found.version != VERSION:
        raise FileFormatError(f"'{path}' says '{found.format}', version {found.version}; this gshead reads {VERSION}.")
    return found


def facts_of(record: SourceRecord) -> dict[str, Any]:
    """A record for ``--json``."""
    return msgspec.to_builtins(record)
